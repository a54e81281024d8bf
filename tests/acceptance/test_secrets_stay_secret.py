"""Promise 6: search everything that can be read afterwards for what must not be readable."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import psycopg
import pytest

from fluxbase_cli.seal import Sealer
from tests.fixtures.command import NEW_KEY, OLD_KEY, Outcome, Rotation, with_password

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")
_ROLLBACK = ("secrets", "rollback", "--to-version", "1", "--reason", "New key compromised")
_LOST_KEY = bytes.fromhex("77") * 32
_SHORT_KEY = "short-key-marker-of-31-bytes-ab"
_WRONG_PASSWORD = "wrong password/marker"
_MARKERS = ("PLAINTEXTMARKER", "demo-secret-", "not-real", "DEMODEMO", _SHORT_KEY, _WRONG_PASSWORD)


def test_no_key_plaintext_sealed_value_or_password_appears_anywhere(rotation: Rotation, closed_port: str) -> None:
    rotation.seed(300)
    _plant(rotation)
    forbidden = set(_forbidden(rotation))

    outcomes = list(_run_everything(rotation, closed_port))
    forbidden |= set(_forbidden(rotation))

    assert {outcome.code for outcome in outcomes} >= {0, 1, 2, 3, 4, 6}
    heard = "\n".join(outcome.all for outcome in outcomes) + "\n".join(_progress_tables(rotation))
    told = [secret for secret in forbidden if secret in heard]
    assert told == []


def test_a_value_that_a_trigger_quotes_is_not_printed(rotation: Rotation) -> None:
    """The server's message contains what the operator's trigger puts there. Our output and records must not."""
    rotation.seed(100)
    rotation.rows(
        "CREATE FUNCTION public.tell() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'bad value %', NEW.encrypted_value; END$$;"
        " CREATE TRIGGER tell BEFORE UPDATE ON functions.secrets FOR EACH ROW EXECUTE FUNCTION public.tell();"
        " ALTER TABLE functions.secrets ENABLE ALWAYS TRIGGER tell"
    )

    outcome = rotation.command(*_RE_ENCRYPT, "--allow-triggers", "--debug")

    assert outcome.code == 4
    assert "raised by function public.tell()" in outcome.stderr
    # The new sealed values are not known here, but all of them are texts of this form.
    seal = re.compile(r"[A-Za-z0-9+/]{40,}")
    assert seal.search(outcome.all) is None
    assert seal.search("\n".join(_progress_tables(rotation))) is None


def _plant(rotation: Rotation) -> None:
    """Insert values that cannot be opened, that are not sealed, and that are sealed twice."""
    with psycopg.connect(rotation.url, autocommit=True) as connection:
        for number, text in enumerate(
            (
                Sealer(_LOST_KEY).seal(b"PLAINTEXTMARKER-lost"),
                Sealer(OLD_KEY).seal(b"PLAINTEXTMARKER-truncated")[:-8],
                b"PLAINTEXTMARKER, not sealed",
                Sealer(OLD_KEY).seal(Sealer(OLD_KEY).seal(b"PLAINTEXTMARKER-twice")),
            )
        ):
            connection.execute(
                "INSERT INTO functions.secrets (id, name, scope, encrypted_value)"
                " VALUES (gen_random_uuid(), %s, 'global', %s)",
                [f"PLANTED_{number}", text.decode()],
            )
        connection.execute("UPDATE auth.users SET totp_secret = 'PLAINTEXTMARKER234567' WHERE totp_secret IS NULL")


def _run_everything(rotation: Rotation, closed_port: str) -> Iterator[Outcome]:
    run = rotation.command
    yield run("keys", "list", "--debug")
    yield run("keys", "list", "-o", "json")
    yield run("config", "check", "--debug")
    yield run("config", "check", "-o", "json", FLUXBASE_DATABASE_URL=closed_port)
    # Wrong keys and wrong addresses.
    yield run("keys", "list", "--debug", FLUXBASE_SECRET_KEY_1=_SHORT_KEY)
    yield run("keys", "list", "--debug", FLUXBASE_SECRET_KEY_1=f"{OLD_KEY.hex()}=")
    yield run("keys", "list", "--debug", FLUXBASE_SECRET_KEY_3=OLD_KEY.hex())
    yield run("config", "check", "--debug", FLUXBASE_SECRET_KEY_1=_SHORT_KEY)
    password = urlsplit(rotation.url).password
    for url in (
        with_password(rotation.url, _WRONG_PASSWORD),
        f"postgresql://somebody:{_WRONG_PASSWORD}@127.0.0.1:1/nowhere",
        f"postgresql://somebody:{password}@127.0.0.1:port/nowhere",
        f"postgresql://somebody:{password}%zz@127.0.0.1:1/nowhere",
        f"host=127.0.0.1 port=1 user=x password='{_WRONG_PASSWORD}' no_such_option=1",
        f"host=127.0.0.1 port=1 user=x password={_WRONG_PASSWORD}",
    ):
        yield run("secrets", "audit", "--debug", FLUXBASE_DATABASE_URL=url)
    # The jobs, and everything that can go wrong with them.
    yield run("secrets", "audit", "-o", "json", "--debug")
    yield run("secrets", "audit", "--key-version", "1", "--log-format", "json")
    yield run(*_RE_ENCRYPT, "--debug", FLUXBASE_SECRET_KEY_1="88" * 32, FLUXBASE_SECRET_KEY_2="99" * 32)
    yield run(*_RE_ENCRYPT, "--dry-run", "--debug")
    rotation.rows("ALTER TABLE functions.secrets ADD CONSTRAINT never CHECK (false) NOT VALID")
    yield run(*_RE_ENCRYPT, "--debug")
    yield run("secrets", "status", "1")
    yield run("secrets", "status", "1", "-o", "json")
    rotation.rows("ALTER TABLE functions.secrets DROP CONSTRAINT never")
    rotation.rows("ALTER TABLE auth.users ALTER totp_secret TYPE varchar(30) USING left(totp_secret, 30)")
    yield run(*_RE_ENCRYPT, "-o", "yaml", "--debug")
    rotation.rows("ALTER TABLE auth.users ALTER totp_secret TYPE varchar(255)")
    yield run(*_RE_ENCRYPT, "-o", "json", "--debug", "--log-format", "json", "--restart")
    yield run(*_ROLLBACK, "--debug")
    yield run(*_RE_ENCRYPT)
    yield run("secrets", "status")
    yield run("secrets", "status", "2", "-o", "yaml")
    yield run.on_terminal(*_ROLLBACK, answers=[("Go ahead?", "y")])


def _forbidden(rotation: Rotation) -> Iterator[str]:
    for key in (OLD_KEY, NEW_KEY, _LOST_KEY):
        yield key.hex()
        yield key.hex().upper()
        yield base64.b64encode(key).decode()
        yield base64.urlsafe_b64encode(key).decode()
        yield repr(key)[2:-1]
    yield from _MARKERS
    for password in (urlsplit(rotation.url).password or "", _WRONG_PASSWORD):
        yield password
        yield quote(password, safe="")
    for table, columns in {
        "functions.secrets": ["encrypted_value"],
        "functions.secret_versions": ["encrypted_value"],
        "app.settings": ["encrypted_value"],
        "platform.oauth_providers": ["client_secret"],
        "auth.oauth_tokens": ["access_token", "refresh_token", "id_token"],
        "auth.users": ["totp_secret"],
        "branching.github_config": ["webhook_secret"],
    }.items():
        for column in columns:
            # The first characters are enough to recognise a secret.
            yield from (
                row[0][:40] for row in rotation.rows(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")
            )
    documents = rotation.rows("SELECT settings::text FROM platform.instance_settings")
    yield from (seal for row in documents for seal in re.findall(r'"([A-Za-z0-9+/]{40})[A-Za-z0-9+/]*=*"', row[0]))


def _progress_tables(rotation: Rotation) -> Iterator[str]:
    names = rotation.rows(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'fluxbase_rotation'"
    )
    if not names:
        pytest.fail("there are no progress tables")
    for (name,) in names:
        yield from (row[0] for row in rotation.rows(f"SELECT t::text FROM {name} AS t"))
