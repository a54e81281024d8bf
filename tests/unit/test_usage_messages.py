"""What is said about wrong words on the command line, and about a configuration that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from fluxbase_cli import __version__
from fluxbase_cli.cli.app import make_app
from fluxbase_cli.cli.options import file_path
from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.errors import ConfigurationError, DatabaseError
from fluxbase_cli.keyring import Key, Keyring
from fluxbase_cli.keyring.material import parse_key
from fluxbase_cli.store.connection import connect_or_explain
from tests.fixtures.command import Outcome
from tests.fixtures.in_process import InProcess

_KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f000112233445566778899aabbccddeeff"


@pytest.fixture
def run(tmp_path: Path) -> InProcess:
    """The command line in an empty folder."""
    return InProcess(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("secrets", "audit", "--key-version", "v1"), "'v1' is not a whole number, such as 1"),
        (("secrets", "audit", "--key-version", "0"), "0 is too small; it must be 1 or more"),
        (("secrets", "re-encrypt", "--concurrency", "100"), "100 is too large; it must be 1 to 64"),
        (("secrets", "status", "one"), "'one' is not a whole number, such as 1"),
        (("secrets", "re-encrypt", "--form-version", "1"), "--from-version"),
        (("secrets", "audit", "--locations", "1e9"), "--locations 1e9 can't be read: No such file"),
        (("secrets", "audit", "--config", "1e9"), "--config 1e9 can't be read: No such file"),
        (("secrets", "re-encrypt", "--plan", "1e9"), "--plan 1e9 can't be read: No such file"),
        (("security", "check", "--env-file", "1e9"), "--env-file 1e9 can't be read: No such file"),
        (("security", "check", "--compare", "1e9"), "--compare 1e9 can't be read: No such file"),
        (("security", "check", "--baseline", "1e9"), "--baseline 1e9 can't be read: No such file"),
        (("config", "check", "--fleet", "1e9"), "--fleet 1e9 can't be read: No such file"),
        (("report", "verify", "1e9", "--key", "1e9"), "--key 1e9 can't be read: No such file"),
        (("keys", "generate", "--out", "1e9/key"), "--out 1e9/key can't be written: No such file"),
        (("secrets", "report", "--out", "x.pdf"), "--out x.pdf: no report is written in the form .pdf"),
        (("secrets", "audit", "--locations", ""), "'--locations': the name of the file is empty"),
        (("secrets", "audit", "--config", ""), "'--config': the name of the file is empty"),
        (("--config", "", "secrets", "audit"), "'--config': the name of the file is empty"),
        (("security", "check", "--compare", ""), "'--compare': the name of the file is empty"),
        (("report", "verify", "", "--key", "1e9"), "'FILE': the name of the file is empty"),
        (("secrets", "re-encrypt", "--patience", "soon"), "'--patience': 'soon' is not a length of time"),
        (("help", "secrets", "reencrypt"), "there is no command 'secrets reencrypt'. Did you mean 're-encrypt'?"),
        (("secrets", "reencrypt"), "No such command 'reencrypt'. Did you mean 're-encrypt'?"),
        (("secrets", "re-encrypt", "--dryrun"), "No such option: --dryrun. Did you mean '--dry-run'?"),
        (("secrets", "re-encrypt", "--From-Versions=1"), "Did you mean '--from-version'"),
        (("--verson",), "No such option: --verson. Did you mean '--version'?"),
        (("secrets", "audit", "--databases", "branch"), "Did you mean 'branches'?"),
        (("keys", "list", "-o", "jsn"), "Did you mean 'json'?"),
        (("security", "explain", "FB-TLS-04"), "there is no rule 'FB-TLS-04'\nDid you mean 'FB-TLS-004'"),
    ],
)
def test_wrong_words_are_named_with_what_is_right(run: InProcess, arguments: tuple[str, ...], said: str) -> None:
    outcome = run(*arguments)
    assert outcome.code == 2
    assert said in outcome.all


def _commands(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from _commands(below, *path, name)


def test_every_option_that_names_a_file_refuses_an_empty_name() -> None:
    """`Path("")` is the working directory, which would be named in the error."""
    named = [
        (" ".join(path), param)
        for path, command in _commands(typer.main.get_command(make_app()))
        for param in command.params
        if (param.metavar or "") in {"FILE", "PATH", "PUBLIC.pem"} and param.name != "sign"
    ]
    assert len(named) > 50
    assert {where for where, param in named if getattr(param.type, "func", None) is not file_path} == set()


@pytest.mark.parametrize("word", ["-V", "--version", "version"])
def test_the_version_is_shown_as_other_tools_do_it(run: InProcess, word: str) -> None:
    assert run(word) == Outcome(0, f"fluxbase-cli {__version__}\n", "")


@pytest.mark.parametrize("words", [(), ("secrets",), ("secrets", "re-encrypt"), ("demo",)])
def test_help_shows_what_the_option_shows(run: InProcess, words: tuple[str, ...]) -> None:
    shown = run("help", *words)
    assert shown == run(*words, "--help")
    assert "Usage: fluxbase-cli" in shown.stdout


def test_short_names_of_versions_are_taken(run: InProcess) -> None:
    outcome = run.having(FLUXBASE_SECRET_KEY_1=_KEY)("secrets", "re-encrypt", "--from", "1", "--to", "2")
    assert outcome.code == 2
    assert "key version 2 is not configured (configured: 1)" in outcome.stderr


def test_a_missing_key_names_the_files_that_were_read_and_those_that_were_not_found(
    run: InProcess, tmp_path: Path
) -> None:
    assert "no key is configured (not found: fluxbase.yaml, .env)" in run("secrets", "audit").stderr
    (tmp_path / "fluxbase.yaml").write_text("database: {host: 127.0.0.1}\n", encoding="utf-8")
    outcome = run("secrets", "audit")
    assert outcome.code == 2
    assert f"no key is configured (read: {tmp_path}/fluxbase.yaml; not found: .env)" in outcome.stderr


@pytest.mark.parametrize(
    ("database", "said"),
    [
        (DatabaseSettings(port=1), "No database is configured, so the default address was used"),
        (DatabaseSettings.from_url("postgresql://u@127.0.0.1:1/d", "the test"), "this address is right (the test)"),
    ],
)
def test_a_server_that_is_not_there_says_where_its_address_comes_from(database: DatabaseSettings, said: str) -> None:
    with pytest.raises(DatabaseError, match="can't connect") as caught:
        connect_or_explain(database)
    assert said in (caught.value.hint or "")


@pytest.mark.parametrize("mark", ["'", '"'])
def test_a_key_in_quotation_marks_is_recognised(mark: str) -> None:
    with pytest.raises(ConfigurationError, match="is in quotation marks") as caught:
        parse_key(f"{mark}{_KEY}{mark}", "the test")
    assert "Remove them." in (caught.value.hint or "")
    assert _KEY not in str(caught.value)


def test_a_failed_connection_is_called_failed_once() -> None:
    with pytest.raises(DatabaseError) as caught:
        connect_or_explain(DatabaseSettings(port=1))
    assert "connection failed" not in caught.value.message
    assert caught.value.message.count("failed") == 1


@pytest.mark.parametrize(
    ("wrapped", "hint"),
    [
        (True, "`fluxbase-cli keys generate --store --key-version 2` makes it."),
        (False, "Add it to security.encryption.keys, or set FLUXBASE_SECRET_KEY_2."),
    ],
)
def test_a_version_without_a_key_says_how_it_gets_one(hint: str, *, wrapped: bool) -> None:
    ring = Keyring((Key(1, bytes.fromhex(_KEY)),), keeps_wrapped_keys=wrapped)
    with pytest.raises(ConfigurationError) as caught:
        ring.key(2)
    assert (caught.value.message, caught.value.hint) == ("key version 2 is not configured (configured: 1)", hint)
