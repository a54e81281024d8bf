"""Plaintext from before a column was sealed is distinguished from values under a wrong key by all known facts."""

from __future__ import annotations

import base64
import json
import secrets
import string

import pytest

from fluxbase_cli.errors import ExitCode, WrongKeyError
from tests.fixtures.fluxbase import ACCESS, DOCUMENTS, GITHUB, OLD, STRANGER, Fluxbase, seal

_DER = b"\x30\x82\x01\x22" + bytes(secrets.token_bytes(290))


def _letters(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


@pytest.mark.parametrize(
    "make",
    [
        lambda: secrets.token_hex(20),
        lambda: secrets.token_hex(32),
        lambda: secrets.token_hex(32).upper(),
        lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
        lambda: base64.b64encode(secrets.token_bytes(30)).decode(),
        lambda: _letters(40),
        lambda: _letters(64),
        lambda: "whsec_" + secrets.token_hex(16),
        lambda: "correct horse battery staple",
    ],
    ids=["hex 40", "hex 64", "HEX 64", "base64 of 32", "base64 of 30", "letters 40", "letters 64", "prefix", "words"],
)
def test_plaintext_webhook_secrets_of_older_releases_do_not_stop_a_run(flux: Fluxbase, make: object) -> None:
    flux.secrets(3)
    rows = [flux.github(make()) for _ in range(12)]  # type: ignore[operator]
    sealed = flux.github(seal(OLD, "sealed by a newer release"))
    before = {row: flux.value("SELECT webhook_secret FROM branching.github_config WHERE id = %s", row) for row in rows}
    report = flux.run()
    assert (report.state, report.exit_code) == ("completed", ExitCode.DONE)
    assert (report.locations[GITHUB].plaintext, report.locations[GITHUB].updated) == (12, 1)
    for row, text in before.items():
        assert flux.value("SELECT webhook_secret FROM branching.github_config WHERE id = %s", row) == text
    assert flux.value("SELECT webhook_secret FROM branching.github_config WHERE id = %s", sealed)
    assert flux.audit(1).exit_code == ExitCode.DONE


@pytest.mark.parametrize("length", [40, 48, 64, 180])
def test_plaintext_tokens_of_letters_and_digits_do_not_look_like_a_wrong_key(flux: Fluxbase, length: int) -> None:
    for _ in range(15):
        flux.token(_letters(length))
    report = flux.run()
    assert (report.exit_code, report.locations[ACCESS].plaintext) == (ExitCode.DONE, 15)


def test_a_table_with_all_values_under_an_unknown_key_still_stops_the_run(flux: Fluxbase) -> None:
    flux.secrets(50)
    for _ in range(12):
        flux.token(seal(STRANGER, "an access token", None), seal(STRANGER, "a refresh token"))
    with pytest.raises(WrongKeyError, match=r"auth\.oauth_tokens"):
        flux.run()


def test_webhook_secrets_that_are_all_under_an_unknown_key_still_stop_the_run(flux: Fluxbase) -> None:
    flux.secrets(50)
    for _ in range(12):
        flux.github(seal(STRANGER, secrets.token_hex(20)))
    with pytest.raises(WrongKeyError, match=r"branching\.github_config"):
        flux.run()


def test_a_damaged_webhook_secret_among_plaintext_is_reported(flux: Fluxbase) -> None:
    for _ in range(12):
        flux.github(secrets.token_hex(20))
    flux.github(seal(STRANGER, secrets.token_hex(20)))
    report = flux.run()
    assert (report.exit_code, report.locations[GITHUB].undecryptable) == (ExitCode.UNDECRYPTABLE_LEFT, 1)


_STRINGS = {
    "dkim_public_key": base64.b64encode(_DER[:294]).decode(),
    "site_key": base64.b64encode(secrets.token_bytes(30)).decode(),
    "siteKey": base64.b64encode(secrets.token_bytes(30)).decode(),
    "api_key": secrets.token_hex(20),
    "private_key": base64.b64encode(_DER[:294]).decode(),
    "client_secret": base64.b64encode(b"a readable text in base64, as some clients store it").decode(),
}


@pytest.mark.parametrize("name", _STRINGS)
def test_a_text_in_a_settings_document_that_is_not_sealed_is_only_a_string(flux: Fluxbase, name: str) -> None:
    flux.document(json.dumps({"email": {"smtp_password": seal(OLD, "password")}, "app": {name: _STRINGS[name]}}))
    report = flux.run()
    assert report.exit_code == ExitCode.DONE
    assert (report.locations[DOCUMENTS].updated, report.locations[DOCUMENTS].undecryptable) == (1, 0)


def test_an_undecryptable_secret_of_a_settings_document_is_reported(flux: Fluxbase) -> None:
    flux.document(json.dumps({"app": {"client_secret": seal(STRANGER, "a secret of another installation")}}))
    report = flux.run()
    assert (report.exit_code, report.locations[DOCUMENTS].undecryptable) == (ExitCode.UNDECRYPTABLE_LEFT, 1)
