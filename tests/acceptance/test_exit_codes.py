"""The exit codes of docs/operators/scripting.md. The fault tests check 130 and 143 too."""

from __future__ import annotations

import signal
import socket

import psycopg
import pytest

from tests.fixtures.command import PATIENCE_S, Rotation, until, with_password

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")


def test_the_exit_code_is_0_when_done_and_3_when_an_audit_finds_something(rotation: Rotation) -> None:
    rotation.seed(20)

    assert rotation.command("secrets", "audit", "--key-version", "1").code == 3
    assert rotation.command(*_RE_ENCRYPT).code == 0
    assert rotation.command("secrets", "audit", "--key-version", "1").code == 0
    assert rotation.command("secrets", "audit", "--key-version", "2").code == 3


def test_wrong_usage_has_exit_code_2(rotation: Rotation) -> None:
    for arguments in (
        ("secrets", "re-encrypt", "--no-such-option"),
        ("secrets", "re-encrypt", "--batch-size", "0"),
        ("secrets", "audit", "--key-version", "zero"),
        ("secrets", "re-encrypt", "--from-version", "2", "--to-version", "2"),
        ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "9"),
        ("secrets", "re-encrypt", "--join"),
        ("secrets", "audit", "--key-version", "9"),
        ("secrets", "no-such-command"),
        ("secrets", "status", "1"),
        ("-o", "xml", "keys", "list"),
    ):
        assert rotation.command(*arguments).code == 2, arguments


def test_an_unreachable_database_gives_1_and_its_password_is_not_shown(rotation: Rotation, closed_port: str) -> None:
    for arguments in (("secrets", "audit"), _RE_ENCRYPT, ("secrets", "status"), ("config", "check")):
        outcome = rotation.command(*arguments, FLUXBASE_DATABASE_URL=closed_port)

        assert outcome.code == 1, arguments
        assert "somebody@127.0.0.1:1/nowhere" in outcome.all
        assert "database-password-marker" not in outcome.all


def test_a_wrong_password_gives_2_and_stays_secret(rotation: Rotation) -> None:
    wrong = with_password(rotation.url, "database-password-marker")

    outcome = rotation.command("secrets", "audit", FLUXBASE_DATABASE_URL=wrong)

    assert outcome.code == 2
    assert outcome.stderr.startswith("Error: ")
    assert "database-password-marker" not in outcome.all


def test_a_database_that_does_not_exist_or_is_not_from_fluxbase_gives_2(rotation: Rotation) -> None:
    base = rotation.url.rpartition("/")[0]

    for name in ("no_such_database", "postgres"):
        outcome = rotation.command(*_RE_ENCRYPT, FLUXBASE_DATABASE_URL=f"{base}/{name}")

        assert outcome.code == 2, name
        assert outcome.stderr.startswith("Error: ")


def test_undecryptable_values_are_left_as_they_are_and_give_4(rotation: Rotation) -> None:
    rotation.seed(1000)
    broken, text = rotation.rows(
        "UPDATE functions.secrets SET encrypted_value = overlay(encrypted_value PLACING 'AAAA' FROM 9)"
        " WHERE id = (SELECT id FROM functions.secrets LIMIT 1) RETURNING id, encrypted_value"
    )[0]

    outcome = rotation.command(*_RE_ENCRYPT)

    assert outcome.code == 4
    assert "✓ Completed in" in outcome.stdout
    assert str(broken) in outcome.stderr
    assert rotation.value("SELECT encrypted_value FROM functions.secrets WHERE id = %s", broken) == text
    # The audit of version 1 is about version 1 only. The audit of everything reports these values.
    assert rotation.command("secrets", "audit", "--key-version", "1").code == 0
    assert rotation.command("secrets", "audit").code == 4


def test_a_second_job_is_refused_with_5_while_one_is_alive(rotation: Rotation) -> None:
    rotation.seed(100)
    with psycopg.connect(rotation.url) as blocker:
        blocker.execute("SELECT FROM functions.secrets FOR UPDATE")
        with rotation.command.start(*_RE_ENCRYPT) as first:
            until(rotation.waits_for_a_lock, "the first command waits for our lock")

            second = rotation.command(*_RE_ENCRYPT)
            back = rotation.command("secrets", "rollback", "--to-version", "1", "--reason", "test")
            anew = rotation.command(*_RE_ENCRYPT, "--restart")

            assert [second.code, back.code, anew.code] == [5, 5, 5]
            assert "job 1 (re-encrypt, version 1 to 2) is running" in second.stderr
            assert f"on {socket.gethostname()} (process {first.pid}, " in second.stderr
            assert "% done" in second.stderr
            assert "--join" in second.stderr
            blocker.rollback()
            assert first.finish(timeout_s=PATIENCE_S).code == 0


def test_a_wrong_old_key_gives_6_and_nothing_is_written(rotation: Rotation) -> None:
    rotation.seed(1000, new_share=0.0)

    outcome = rotation.command(*_RE_ENCRYPT, FLUXBASE_SECRET_KEY_1="77" * 32)

    assert outcome.code == 6
    assert outcome.stderr.startswith("Error: ")
    assert rotation.value("SELECT to_regnamespace('fluxbase_rotation')") is None
    assert rotation.command("secrets", "audit", "-o", "json").json["by_version"] == {"1": 1000, "2": 0}


def test_swapped_keys_leave_nothing_undecryptable(rotation: Rotation) -> None:
    """Versions 1 and 2 are configured with each other's keys: nothing is lost, and another version number mends it."""
    rotation.seed(100, new_share=0.0)
    first, second = (rotation.command.environment[f"FLUXBASE_SECRET_KEY_{n}"] for n in (1, 2))

    swapped = rotation.command(*_RE_ENCRYPT, "-o", "json", FLUXBASE_SECRET_KEY_1=second, FLUXBASE_SECRET_KEY_2=first)

    assert swapped.code == 0
    assert (swapped.json["already_current"], swapped.json["re_encrypted"]) == (100, 0)
    exchanged = rotation.command(*_RE_ENCRYPT)
    assert (exchanged.code, "A new key needs a new version number" in exchanged.stderr) == (2, True)
    moved = rotation.command(
        *("secrets", "re-encrypt", "--from-version", "2", "--to-version", "3", "--yes", "-o", "json"),
        FLUXBASE_SECRET_KEY_1="",
        FLUXBASE_SECRET_KEY_2=first,
        FLUXBASE_SECRET_KEY_3=second,
    )
    assert moved.code == 0, moved.all
    assert moved.json["re_encrypted"] == 100


def test_a_table_that_is_locked_while_the_job_prepares_gives_a_clear_message(rotation: Rotation) -> None:
    """A migration has locked a table. The message must not call that an unexpected error."""
    rotation.seed(100)
    with psycopg.connect(rotation.url) as blocker:
        blocker.execute("LOCK TABLE functions.secrets IN ACCESS EXCLUSIVE MODE")

        outcome = rotation.command(*_RE_ENCRYPT, "--patience", "1s")

    assert outcome.code == 1
    assert "unexpected" not in outcome.stderr
    assert "lock" in outcome.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_the_job_prepares_ends_it_at_once_and_nothing_is_begun(
    rotation: Rotation, number: signal.Signals, code: int
) -> None:
    rotation.seed(20)
    with psycopg.connect(rotation.url) as blocker:
        blocker.execute("LOCK TABLE functions.secrets")
        with rotation.command.start(*_RE_ENCRYPT) as running:
            # Use the open connection: a new connection for each look can take longer than the lock timeout.
            until(
                lambda: (
                    blocker.execute(
                        "SELECT FROM pg_locks WHERE NOT granted AND relation = 'functions.secrets'::regclass"
                    ).fetchone()
                    is not None
                ),
                "it counts the table's rows",
            )
            running.send(number)
            outcome = running.finish()

    assert (outcome.code, outcome.stdout, outcome.stderr) == (code, "", "Error: interrupted; nothing was begun\n")
    assert rotation.value("SELECT to_regnamespace('fluxbase_rotation')") is None
