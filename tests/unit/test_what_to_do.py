"""An error on the command line says what happened, where, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.config.rotation import KeyRotationSettings
from fluxbase_cli.config.secret import Secret
from fluxbase_cli.config.server import ServerSettings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.evidence.signing.signer import signed
from fluxbase_cli.rotation.policy import read_webhook
from fluxbase_cli.security.live.looking import _checked
from fluxbase_cli.server.check import examine_server
from fluxbase_cli.server.control import ServerControl
from tests.fixtures.in_process import InProcess


@pytest.mark.parametrize(
    ("arguments", "what", "to_do"),
    [
        (
            ("config", "check", "--parallel", "2"),
            "--parallel needs --fleet",
            "Leave --parallel out. It sets the number of instances",
        ),
        (("keys", "generate", "--key-version", "2"), "--key-version needs --store", "Add --store, or leave"),
        (
            ("secrets", "list", "--key-version", "1", "--undecryptable"),
            "--key-version and --undecryptable can't go together",
            "Leave one of the two out",
        ),
        (
            ("secrets", "list", "--columns", "id", "-o", "json"),
            "--columns and -o json can't go together",
            "Leave one of the two out",
        ),
        (
            ("secrets", "report", "1", "--rotation", "1"),
            "JOB and --rotation can't go together",
            "Leave one of the two out",
        ),
        (
            ("secrets", "report", "--sign", "key.pem", "--format", "html"),
            "a signed report as html is two files, so --out is needed",
            "Add --out FILE, or leave --format out",
        ),
        (
            ("secrets", "report", "verify", "FILE", "--key", "public.pem", "--skip-audit"),
            "--skip-audit is for --database",
            "Add --database, or leave --skip-audit out",
        ),
        (
            ("config", "check", "-o", "sarif"),
            "--output sarif is for `security check`",
            "Choose one of table, json, yaml.",
        ),
        (
            ("config", "check", "-o", "csv"),
            "--output csv is for the list of instances, with --fleet",
            "Choose one of table, json, yaml.",
        ),
        (
            ("secrets", "re-encrypt", "--plan-valid", "1h"),
            "--plan-valid needs --plan-out",
            "Leave --plan-valid out",
        ),
        (
            ("secrets", "re-encrypt", "--plan-out", "p.json", "--join"),
            "--plan-out and --join can't go together",
            "Leave --join out",
        ),
        (
            ("security", "check", "--release", "1999.1.1"),
            "--release '1999.1.1' is no release that fluxbase-cli knows",
            "Name a release from ",
        ),
    ],
)
def test_options_that_are_refused(tmp_path: Path, arguments: tuple[str, ...], what: str, to_do: str) -> None:
    outcome = InProcess(tmp_path)(*arguments)

    assert outcome.code == 2
    assert what in outcome.stderr
    assert to_do in " ".join(outcome.stderr.split())


@pytest.mark.parametrize(("url", "to_do"), [("ftp://a", "Write it as in https://"), ("https://u:p@a", "Leave it out")])
def test_an_address_that_is_refused(url: str, to_do: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^--url ") as caught:
        _checked(url)

    assert (caught.value.hint or "").startswith(to_do)


def test_a_webhook_that_is_no_url() -> None:
    with pytest.raises(ConfigurationError, match=r"notification_webhook is not a URL") as caught:
        read_webhook(KeyRotationSettings(notification_webhook=Secret("hooks.example.com")))

    assert caught.value.hint == "Write it as in https://hooks.example.com/path."


def test_a_signature_that_does_not_verify() -> None:
    class _PublicKey:
        def verifies(self, _signature: bytes, _message: bytes) -> bool:
            return False

    class _Signer:
        public_key = _PublicKey()

        def sign(self, _message: bytes) -> bytes:
            return b""

    with pytest.raises(ConfigurationError, match=r"that belongs to --sign") as caught:
        signed(_Signer(), b"")  # type: ignore[arg-type]

    assert caught.value.hint == "Run the command again. If it fails again, use another key with --sign."


def test_a_cutover_that_is_not_configured() -> None:
    control = ServerControl(ServerSettings(), DatabaseSettings(), {})

    remedies = {each.message.rsplit(".", 1)[-1]: each.remedy or "" for each in examine_server(control, None)}

    assert remedies["stop_command is not set"] == "Set it. For Docker Compose: `[docker, compose, stop, fluxbase]`."
    assert "up, -d, --no-deps, fluxbase]" in remedies["start_command is not set"]
    assert remedies["health_url is not set"].startswith("Set it, as in http://localhost:8080/health")
