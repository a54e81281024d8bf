"""What is said about wrong words on the command line, and about a configuration that is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fluxbase_cli import __version__
from fluxbase_cli.cli.app import make_app
from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.errors import ConfigurationError, DatabaseError
from fluxbase_cli.keyring.material import parse_key
from fluxbase_cli.store.connection import connect_or_explain

_KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f000112233445566778899aabbccddeeff"
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process, in an empty folder. Returns the exit code, and all that was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    def once(*arguments: str, **environment: str) -> tuple[int, str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            make_app()(list(arguments), prog_name="fluxbase-cli")
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    return once


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("secrets", "audit", "--key-version", "v1"), "'v1' is not a whole number, such as 1"),
        (("secrets", "audit", "--key-version", "0"), "0 is too small; it must be 1 or more"),
        (("secrets", "re-encrypt", "--concurrency", "100"), "100 is too large; it must be 1 to 64"),
        (("secrets", "status", "one"), "'one' is not a whole number, such as 1"),
        (("secrets", "re-encrypt", "--form-version", "1"), "--from-version"),
        (("help", "secrets", "reencrypt"), "there is no command 'secrets reencrypt'"),
    ],
)
def test_wrong_words_are_named_with_what_is_right(run: Run, arguments: tuple[str, ...], said: str) -> None:
    code, printed = run(*arguments)
    assert code == 2
    assert said in printed


@pytest.mark.parametrize("word", ["-V", "--version", "version"])
def test_the_version_is_shown_as_other_tools_do_it(run: Run, word: str) -> None:
    assert run(word) == (0, f"fluxbase-cli {__version__}\n")


@pytest.mark.parametrize("words", [(), ("secrets",), ("secrets", "re-encrypt"), ("demo",)])
def test_help_shows_what_the_option_shows(run: Run, words: tuple[str, ...]) -> None:
    shown = run("help", *words)
    assert shown == run(*words, "--help")
    assert "Usage: fluxbase-cli" in shown[1]


def test_short_names_of_versions_are_taken(run: Run) -> None:
    code, printed = run("secrets", "re-encrypt", "--from", "1", "--to", "2", FLUXBASE_SECRET_KEY_1=_KEY)
    assert code == 2
    assert "2" in printed
    assert "No such option" not in printed


def test_a_missing_key_names_the_files_that_were_read_and_those_that_were_not_found(run: Run, tmp_path: Path) -> None:
    assert "no key is configured (not found: fluxbase.yaml, .env)" in run("secrets", "audit")[1]
    (tmp_path / "fluxbase.yaml").write_text("database: {host: 127.0.0.1}\n", encoding="utf-8")
    code, printed = run("secrets", "audit")
    assert code == 2
    assert f"no key is configured (read: {tmp_path}/fluxbase.yaml; not found: .env)" in printed


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
