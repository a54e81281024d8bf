"""Standard streams that are closed, full or without a reader: the job's own outcome decides the exit code."""

from __future__ import annotations

import pytest

from tests.fixtures.command import Command, Outcome, Rotation

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes")


def _through_shell(command: Command, redirection: str, *arguments: str) -> Outcome:
    """Run it with streams as a shell makes them. The exit code is that of the program and not of a pipe's reader."""
    return command.in_shell(f'"$@" {redirection}; exit "${{PIPESTATUS[0]}}"', *arguments)


@pytest.mark.parametrize(
    ("redirection", "said"),
    [
        (">&-", "so the result is incomplete: it is closed"),
        (">/dev/full", "so the result is incomplete: No space left on device"),
        ("| head -c 1 >/dev/null", None),
        ("<&- 2>&-", None),
        ("<&- >&- 2>&-", None),
    ],
)
def test_a_job_is_done_although_nobody_can_read_its_result(
    rotation: Rotation, redirection: str, said: str | None
) -> None:
    rotation.seed(20)

    outcome = _through_shell(rotation.command, redirection, *_RE_ENCRYPT)

    assert outcome.code == 0, outcome.all
    assert "unexpected" not in outcome.all
    assert "Traceback" not in outcome.all
    if said is None:
        assert "could not be written" not in outcome.stderr
    else:
        assert said in outcome.stderr
    assert rotation.command("secrets", "audit", "--key-version", "1").code == 0


def test_lost_messages_are_told_on_the_other_stream_unless_it_holds_data(command: Command) -> None:
    """An unset variable is an error: exit code 2, also if nothing can be told."""
    command = command.having(FLUXBASE_SECRET_KEY_1="too-short")

    outcome = _through_shell(command, "2>/dev/full", "keys", "list")
    assert outcome.code == 2
    assert outcome.stdout == (
        "Warning: standard error could not be written, so messages are missing: No space left on device\n"
    )
    assert _through_shell(command, "2>/dev/full", "keys", "list", "-o", "json") == Outcome(2, "", "")


def test_a_printed_key_that_nobody_got_is_a_failure(command: Command) -> None:
    outcome = _through_shell(command, ">/dev/full", "keys", "generate", "--encoding", "hex")

    assert outcome.code == 1
    assert "standard output could not be written" in outcome.stderr


def test_a_working_directory_that_was_deleted_is_named(command: Command) -> None:
    outcome = command.in_shell('mkdir gone && cd gone && rmdir ../gone; exec "$@"', "config", "check")

    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith("Error: the working directory can't be used: No such file or directory\n")


def test_a_key_for_which_there_is_no_room_leaves_no_file(command: Command) -> None:
    outcome = command.in_shell('ulimit -f 0; exec "$@"', "keys", "generate", "--out", "new.key")

    assert (outcome.code, outcome.stdout) == (2, "")
    assert "Error: --out new.key can't be written: File too large" in outcome.stderr
    assert not (command.directory / "new.key").exists()


def test_too_few_descriptors_end_in_one_line(rotation: Rotation) -> None:
    outcome = rotation.command.in_shell('ulimit -n 6; exec "$@"', "secrets", "audit")

    assert (outcome.code, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith("Error: ")
    assert outcome.stderr.endswith("Too many open files\n")
    assert len(outcome.stderr.splitlines()) == 1
