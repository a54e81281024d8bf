"""The options of every command: where they can stand, their variables, and what they do to the output streams."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from fluxbase_cli import __version__
from fluxbase_cli.cli.app import make_app
from tests.fixtures.command import NEW_KEY, OLD_KEY, Command, Rotation

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")


@pytest.fixture
def with_keys(command: Command) -> Command:
    return command.having(FLUXBASE_SECRET_KEY_1=OLD_KEY.hex(), FLUXBASE_SECRET_KEY_2=NEW_KEY.hex())


# --- where they can stand ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("-o", "json", "keys", "list"), ("keys", "-o", "json", "list")])
def test_an_option_can_stand_before_or_after_the_subcommand(with_keys: Command, arguments: tuple[str, ...]) -> None:
    assert with_keys(*arguments).json == with_keys("keys", "list", "--output", "json").json


def test_the_last_option_wins(with_keys: Command) -> None:
    assert with_keys("-o", "yaml", "keys", "list", "-o", "json").json["keys"]


def test_the_database_url_can_stand_before_the_subcommand(rotation: Rotation) -> None:
    rotation.seed(20)
    command = rotation.command.lacking("FLUXBASE_DATABASE_URL")

    assert command("--database-url", rotation.url, "secrets", "audit").code == 0
    assert command("secrets", "--database-url", rotation.url, "audit").code == 0
    assert command("secrets", "audit", "--database-url", rotation.url).code == 0


# --- variables --------------------------------------------------------------------------------------------------------


def test_common_options_have_variables(with_keys: Command) -> None:
    with_keys.write("elsewhere.yaml", f"encryption_key: {'k' * 32}\n")
    with_keys = with_keys.lacking("FLUXBASE_SECRET_KEY_1", "FLUXBASE_SECRET_KEY_2")

    outcome = with_keys("keys", "list", FLUXBASE_CLI_OUTPUT="json", FLUXBASE_CLI_CONFIG="elsewhere.yaml")

    assert [key["version"] for key in outcome.json["keys"]] == [1]


def test_the_options_of_one_command_have_variables(rotation: Rotation) -> None:
    rotation.seed(100)
    variables = {
        "FLUXBASE_CLI_FROM_VERSION": "1",
        "FLUXBASE_CLI_TO_VERSION": "2",
        "FLUXBASE_CLI_DRY_RUN": "1",
        "FLUXBASE_CLI_BATCH_SIZE": "7",
        "FLUXBASE_CLI_CONCURRENCY": "1",
        "FLUXBASE_CLI_OUTPUT": "json",
    }

    outcome = rotation.command.having(**variables)("secrets", "re-encrypt")

    assert (outcome.json["state"], outcome.json["from_version"], outcome.json["re_encrypted"]) == ("dry-run", 1, 85)


def test_every_option_of_every_command_has_its_variable(command: Command) -> None:
    assert "FLUXBASE_CLI_BATCH_SIZE" in command("--help").stdout
    missing = []
    for path, options in _options(typer.main.get_command(make_app())):
        for option in options:
            # `--force` is another name of `--yes`.
            names = [each for each in option.opts if each != "--force"] or option.opts
            name = max(names, key=len).strip("-").replace("-", "_").upper()
            if option.envvar != f"FLUXBASE_CLI_{name}":
                missing.append((path, name))
    # Common options read their variables before the name of the command. The tests above and below cover them.
    common = {"CONFIG", "DATABASE_URL", "OUTPUT", "QUIET", "NO_COLOR", "DEBUG", "LOG_FORMAT"}
    assert [each for each in missing if each[1] not in common | {"VERSION", "HELP"}] == []


def _options(command: Any, path: str = "") -> Iterator[tuple[str, list[Any]]]:
    children = getattr(command, "commands", {})
    for name, child in children.items():
        yield from _options(child, f"{path} {name}")
    if not children:
        yield path, [parameter for parameter in command.params if parameter.param_type_name == "option"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("keys", "list", "-o", "json"),
        ("keys", "-o", "json", "list"),
        ("-o", "json", "keys", "list"),
    ],
)
def test_an_option_wins_over_its_variable_wherever_it_stands(with_keys: Command, arguments: tuple[str, ...]) -> None:
    assert with_keys(*arguments, FLUXBASE_CLI_OUTPUT="yaml").stdout.startswith("{")


def test_a_database_option_wins_over_its_variables(rotation: Rotation, closed_port: str) -> None:
    rotation.seed(20)
    command = rotation.command.having(FLUXBASE_CLI_DATABASE_URL=closed_port, FLUXBASE_DATABASE_URL=closed_port)

    assert command("secrets", "audit").code == 1
    assert command("secrets", "audit", "--database-url", rotation.url).code == 0
    assert command("--database-url", rotation.url, "secrets", "audit").code == 0


# --- streams ----------------------------------------------------------------------------------------------------------


def test_quiet_leaves_only_the_result(rotation: Rotation) -> None:
    rotation.seed(100)

    outcome = rotation.command(*_RE_ENCRYPT, "--quiet")

    assert outcome.code == 0
    assert outcome.stderr == ""
    assert "✓ Completed in" in outcome.stdout


def test_quiet_does_not_hide_an_error(command: Command) -> None:
    assert command("keys", "list", "-q").stderr.startswith("Error: no key")


def test_there_is_no_escape_sequence_in_a_pipe(rotation: Rotation) -> None:
    rotation.seed(100)
    for arguments in (
        ("--help",),
        ("secrets", "re-encrypt", "--help"),
        ("keys", "list"),
        ("secrets", "re-encrypt", "--nonsense"),
        ("config", "check"),
        ("secrets", "audit"),
        _RE_ENCRYPT,
        ("secrets", "status"),
        ("secrets", "status", "1"),
    ):
        outcome = rotation.command(*arguments, TERM="xterm-256color")
        assert "\x1b" not in outcome.all, arguments


@pytest.mark.parametrize(
    "what", ["a good run", "a wrong key", "no database", "wrong usage", "no such option", "values left"]
)
def test_every_line_on_stderr_is_json_when_asked_for(rotation: Rotation, closed_port: str, what: str) -> None:
    rotation.seed(1000)
    if what == "values left":
        rotation.rows("UPDATE branching.github_config SET webhook_secret = overlay(webhook_secret PLACING 'AA' FROM 9)")
    environment = {
        "a wrong key": {"FLUXBASE_SECRET_KEY_1": "short"},
        "no database": {"FLUXBASE_DATABASE_URL": closed_port},
    }.get(what, {})
    arguments = {
        "wrong usage": ("secrets", "re-encrypt", "--to-version", "5"),
        "no such option": ("secrets", "re-encrypt", "--to", "5"),
    }.get(what, _RE_ENCRYPT)

    outcome = rotation.command.having(**environment)("--log-format", "json", *arguments)

    lines = outcome.stderr.splitlines()
    if what != "a good run":
        assert lines
    for line in lines:
        assert {"time", "level", "event", "message"} <= _object(line).keys(), line


def _object(line: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except ValueError:
        pytest.fail(f"not JSON: {line}")
    assert isinstance(data, dict)
    return data


def test_progress_is_json_too(rotation: Rotation) -> None:
    """Progress is also reported when a job is resumed and nothing is wrong."""
    rotation.seed(100)
    rotation.let_writes_fail()
    assert rotation.command(*_RE_ENCRYPT).code == 1
    rotation.let_writes_succeed()

    outcome = rotation.command(*_RE_ENCRYPT, "--log-format", "json")

    assert outcome.code == 0
    told = [_object(line) for line in outcome.stderr.splitlines()]
    assert [each["message"] for each in told if "Resuming" in each["message"]]


def test_debug_shows_frames(rotation: Rotation, closed_port: str) -> None:
    quiet = rotation.command("secrets", "audit", FLUXBASE_DATABASE_URL=closed_port)
    loud = rotation.command("secrets", "audit", "--debug", FLUXBASE_DATABASE_URL=closed_port)

    assert 'File "' not in quiet.stderr
    assert 'File "' in loud.stderr
    assert "store/connection.py" in loud.stderr
    assert loud.code == quiet.code == 1
    assert loud.stderr.startswith("Error: ")


@pytest.mark.parametrize("arguments", [("--help",), ("secrets", "status"), ("keys", "list"), ("secrets", "audit")])
def test_a_reader_that_closes_the_pipe_early_gets_no_traceback(rotation: Rotation, arguments: tuple[str, ...]) -> None:
    rotation.seed(20)
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            rotation.command.line(*arguments),
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            cwd=rotation.command.directory,
            env=rotation.command.variables(),
            check=False,
            timeout=60,
        )
    finally:
        os.close(write)

    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_job_is_completed_even_if_its_reader_closes_the_pipe(rotation: Rotation) -> None:
    """`re-encrypt | head -1`: the title is read, and the rest is lost."""
    rotation.seed(1000)
    done = rotation.command.in_shell('set -o pipefail; "$@" | head -1', *_RE_ENCRYPT)

    assert done.stdout == "Re-encrypting secrets from version 1 to 2...\n"
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr
    assert rotation.command("secrets", "audit", "--key-version", "1").code == 0


def test_version_help_and_completion_work(command: Command) -> None:
    assert command("--version").stdout == f"fluxbase-cli {__version__}\n"
    assert command("-h").stdout == command("--help").stdout
    assert "--install-completion" in command("--help").stdout
    for arguments in ((), ("secrets",), ("keys",), ("secrets", "re-encrypt"), ("secrets", "audit"), ("keys", "list")):
        outcome = command(*arguments, "-h")
        assert outcome.code == 0
        assert "--database-url" in outcome.stdout, arguments
