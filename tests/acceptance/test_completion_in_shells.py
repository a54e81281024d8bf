"""The Tab key in real shells: it shows words, and it never shows an error, asks, or waits."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fixtures.command import NEW_KEY, OLD_KEY, Command, Rotation, until
from tests.fixtures.programs import program

#: Calls the function as bash does when somebody presses Tab, and prints what it would offer.
_BASH = """
source <(fluxbase-cli completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_fluxbase_cli fluxbase-cli
printf '%s\\n' "${COMPREPLY[@]}"
"""
_ZSH = """
autoload -Uz compinit && compinit -u -d "$HOME/zcompdump"
source <(fluxbase-cli completion zsh)
_describe() { print -l -- "${found[@]}" }
_files() { print files }
words=("$@") CURRENT=$#
_fluxbase_cli
"""


def _installed(command: Command) -> Command:
    """The command, which a shell finds as `fluxbase-cli`."""
    folder = command.directory / "bin"
    folder.mkdir(exist_ok=True)
    start = folder / "fluxbase-cli"
    start.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m fluxbase_cli "$@"\n', encoding="utf-8")
    start.chmod(0o755)
    return command.having(PATH=f"{folder}:{command.variables()['PATH']}")


def _in_shell(command: Command, *line: str | Path) -> list[str]:
    done = subprocess.run(
        line, env=_installed(command).variables(), cwd=command.directory, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.splitlines()


def _bash(command: Command, *words: str) -> list[str]:
    return _in_shell(command, program("bash"), "-c", _BASH, "bash", "fluxbase-cli", *words)


def _zsh(command: Command, *words: str) -> list[str]:
    return _in_shell(command, program("zsh"), "-f", "-c", _ZSH, "zsh", "fluxbase-cli", *words)


def _fish(command: Command, *words: str) -> list[str]:
    script = "fluxbase-cli completion fish | source; complete -C " + shlex.quote(" ".join(("fluxbase-cli", *words)))
    return _in_shell(command, program("fish"), "--no-config", "-c", script)


@pytest.mark.parametrize("shell", [_bash, _zsh, _fish])
def test_commands_options_versions_and_jobs_are_offered(shell: object, rotation: Rotation) -> None:
    assert callable(shell)
    rotation.seed(20)
    assert rotation.command("secrets", "re-encrypt", "--from", "1", "--to", "2", "--yes").code == 0

    def offered(*words: str) -> list[str]:
        return [each.replace(":", "\t").split("\t")[0] for each in shell(rotation.command, *words)]

    assert offered("secrets", "re-") == ["re-encrypt"]
    assert offered("secrets", "audit", "--key") == ["--key-version"]
    assert offered("secrets", "audit", "--key-version", "") == ["1", "2"]
    # On a busy machine the question to the database may take longer than it may.
    until(lambda: offered("secrets", "status", "") == ["1"], "the job is offered")


def test_bash_completes_files_and_what_follows_a_sign(command: Command) -> None:
    command.write("my file.yaml", "")
    assert _bash(command, "--config", "my") == ["my file.yaml"]
    assert _bash(command, "secrets", "audit", "--databases", "=", "b") == ["branches"]


def test_a_broken_configuration_and_a_server_that_is_not_there_say_nothing(command: Command) -> None:
    command.write("fluxbase.yaml", "security: [\n")
    assert _bash(command, "secrets", "audit", "--key-version", "") == [""]
    command.write("fluxbase.yaml", "database: {host: 127.0.0.1, port: 1}\n")
    assert _bash(command, "secrets", "status", "") == [""]


def test_a_server_that_never_answers_is_given_up_after_two_seconds(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d"
        began = time.monotonic()
        outcome = command("__complete", "bash", "secrets", "status", "", FLUXBASE_DATABASE_URL=url)
    assert (outcome.code, outcome.all) == (0, "")
    assert time.monotonic() - began < 10.0


def test_no_key_is_fetched_for_a_version(command: Command) -> None:
    """The key command of version 2 leaves a trace if it is run, and Vault of version 1 is not there."""
    trace = command.directory / "trace"
    command.write(
        "fluxbase.yaml",
        "security: {encryption: {active_key_version: 2, keys: ["
        "{version: 1, key: '{{ vault `secret/keys/v1` }}'}, "
        f"{{version: 2, key_command: [touch, {trace}]}}]}}}}\n",
    )
    outcome = command("__complete", "zsh", "secrets", "audit", "--key-version", "")
    assert outcome.stdout == "words\n1\tvault\n2\tcommand, active\n"
    assert not trace.exists()
    assert outcome.stderr == ""


def test_no_key_is_printed(command: Command) -> None:
    command = command.having(FLUXBASE_SECRET_KEY_1=OLD_KEY.hex(), FLUXBASE_SECRET_KEY_2=NEW_KEY.hex())
    outcome = command("__complete", "fish", "secrets", "audit", "--key-version", "")
    assert outcome.stdout == "words\n1\tenv\n2\tenv\n"
