"""Whole screens of a real terminal, at 80 x 24 and 160 x 50: what a person sees while a job runs, and afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from tests.fixtures.command import Rotation, until
from tests.fixtures.in_process import InProcess
from tests.fixtures.tmux import Terminal, assert_screen, terminal

SMALL, LARGE = (80, 24), (160, 50)
_JOB = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes")
_TITLE = "Re-encrypting secrets from version 1 to 2..."


@contextmanager
def locked(rotation: Rotation, table: str = "functions.secrets") -> Iterator[psycopg.Connection[Any]]:
    """A table that a job must wait for. Roll back the connection, and the job continues."""
    with psycopg.connect(rotation.url) as blocker:
        blocker.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE".encode())
        yield blocker


def configured(rotation: Rotation) -> Rotation:
    """The same for a server that reads several keys, which needs no long explanations."""
    rotation.command.write(
        "fluxbase.yaml",
        "security:\n  encryption:\n    active_key_version: 2\n    server:\n      keyring: versioned\n    keys:\n"
        '      - version: 1\n        key: "${FLUXBASE_SECRET_KEY_1}"\n'
        '      - version: 2\n        key: "${FLUXBASE_SECRET_KEY_2}"\n',
    )
    return rotation


def at_the_lock(rotation: Rotation, shown: Terminal) -> None:
    """Wait until a job has done all other tables, and this is on the screen."""
    until(rotation.waits_for_a_lock, "the job waits for the table")
    for text in ("auth.users.totp_secret                     100%", "webhook_secret     100%"):
        shown.wait_for(text)


def headings(shown: Terminal) -> int:
    """How many views are on the screen. What has left it at the top can't be changed by anybody."""
    return sum(line.startswith("LOCATION") for line in shown.lines())


def test_a_running_job_and_its_watch_at_both_sizes_and_after_a_resize(rotation: Rotation) -> None:
    configured(rotation).seed(1000)
    with locked(rotation) as blocker, terminal(rotation.command, *_JOB, size=SMALL) as job:
        at_the_lock(rotation, job)
        assert_screen(job, "job-80x24")
        with terminal(rotation.command, "secrets", "status", "--watch", "--interval", "0.2", size=SMALL) as watch:
            watch.wait_for("last heard of")
            watch.wait_for("webhook_secret     100%")
            assert_screen(watch, "watch-80x24")
            job.resize(*LARGE)
            watch.resize(*LARGE)
            job.wait_for("━" * 40)
            watch.wait_for("SCANNED")
            assert_screen(job, "job-160x50")
            assert_screen(watch, "watch-160x50")
            # Narrower than the view: its old lines now take two lines each.
            job.resize(60, 40)
            until(lambda: not job.shows("━"), "the view is narrower")
            job.wait_for("LOCATION")
            assert headings(job) == 1
            assert sum("auth.users.totp_secret" in line for line in job.lines()) == 1
            job.resize(*SMALL)
            job.wait_for("━" * 8)
            assert headings(job) == 1
            assert job.lines().count(_TITLE) == 1
            blocker.rollback()
            job.wait_for("exit 0")
            watch.wait_for("exit 0")
            assert headings(job) == 0
            assert watch.shows("Job 1: re-encrypt, version 1 to 2, completed, 100% done")
            assert headings(watch) == 1
    for shown in (job, watch):
        assert "\x1b[?25l" not in shown.raw()


def test_more_locations_than_lines_show_those_that_are_not_done(rotation: Rotation) -> None:
    configured(rotation).seed(200)
    names = [f"app.extra_{number:02}" for number in range(30)]
    for name in names:
        rotation.rows(f"CREATE TABLE {name} (id uuid PRIMARY KEY, token text)")
    rotation.command.write(
        "places.yaml", "locations:\n" + "".join(f"  - {{table: {name}, columns: [token]}}\n" for name in names)
    )
    rotation.rows("INSERT INTO app.extra_29 SELECT gen_random_uuid(), encrypted_value FROM functions.secrets")
    with (
        locked(rotation, "app.extra_29"),
        terminal(rotation.command, *_JOB, "--locations", "places.yaml", size=SMALL) as job,
    ):
        job.wait_for("… and 21 more locations, 21 of them done")
        # Those that are not done come first.
        until(lambda: job.lines()[3].startswith("app.extra_29.token"), "it is the first")
        assert_screen(job, "many-locations-80x24", skip=1)
        # The first Ctrl-C asks the job to end, the second one ends it at once.
        job.press("C-c")
        job.wait_for("Stopping: finishing the batches in progress")
        job.press("C-c")
        job.wait_for("exit 130")
        assert job.cursor_is_visible
        assert "\x1b[?25l" not in job.raw()


def test_a_terminal_that_can_only_print_lines_gets_lines(rotation: Rotation) -> None:
    configured(rotation).seed(200)
    with terminal(rotation.command, *_JOB, size=SMALL, environment={"TERM": "dumb"}) as job:
        job.wait_for("exit 0")
        assert "\x1b" not in job.raw()
    with terminal(rotation.command, "secrets", "status", "1", "--watch", size=SMALL, environment={"TERM": "dumb"}) as w:
        w.wait_for("exit 0")
        assert "\x1b" not in w.raw()


def test_tables_and_checks_cut_no_word(done: Rotation) -> None:
    for name, words in (
        ("status", ("secrets", "status")),
        ("status-job", ("secrets", "status", "1")),
        ("keys-list", ("keys", "list", "--count")),
        ("config-check", ("config", "check")),
    ):
        for size in (SMALL, LARGE):
            with terminal(done.command, *words, size=size) as shown:
                shown.wait_for("exit ")
                assert_screen(shown, f"{name}-{size[0]}x{size[1]}")


@pytest.fixture
def done(rotation: Rotation) -> Rotation:
    """A job that has ended, with values that no key opens, after it was paused, tuned and released."""
    configured(rotation).seed(200)
    rotation.rows(
        "UPDATE auth.users SET totp_secret = overlay(totp_secret PLACING 'AAAA' FROM 9) WHERE totp_secret IS NOT NULL"
    )
    rotation = replace(rotation, command=rotation.command.having(LOGNAME="ann"))
    with locked(rotation) as blocker, rotation.command.start(*_JOB) as running:
        until(rotation.rows_done, "a part is done")
        control = InProcess(rotation.command.directory, {**rotation.command.environment})
        control("secrets", "pause", "--reason", "a sale")
        control("secrets", "tune", "--max-rate", "5000", "--batch-size", "50", "--max-replica-lag", "10s")
        control("secrets", "resume")
        # Nobody has paused it now.
        control("secrets", "resume")
        blocker.rollback()
        assert running.finish().code == 4
    return rotation


def test_the_question_and_the_account_of_a_job_with_many_bad_values(rotation: Rotation) -> None:
    configured(rotation).seed(1000)
    rotation.rows(
        "UPDATE functions.secret_versions SET encrypted_value = overlay(encrypted_value PLACING 'AAAA' FROM 9)"
        " WHERE id IN (SELECT id FROM functions.secret_versions ORDER BY id LIMIT 60)"
    )
    rotation.rows("UPDATE auth.users SET totp_secret = overlay(totp_secret PLACING 'AAAA' FROM 9)")
    asking = (*_JOB[:-1], "--accept-undecryptable")
    with terminal(rotation.command, *asking, size=SMALL) as job:
        job.wait_for("Go ahead?")
        assert_screen(job, "question-80x24")
        job.press("y", "Enter")
        job.wait_for("exit 4")
        assert_screen(job, "account-80x24")
        # The whole account is on the screen.
        assert job.shows("✓ Scanned 1000 secrets")
    with terminal(rotation.command, *asking, size=LARGE) as again:
        again.wait_for("Go ahead?")
        assert_screen(again, "question-160x50")
        again.press("C-c")
        again.wait_for("exit 130")
        assert again.lines()[-2:] == ["Cancelled. Nothing was changed.", "exit 130"]
    with terminal(rotation.command, *asking, "--yes", size=LARGE) as last:
        last.wait_for("exit 4")
        assert_screen(last, "account-160x50")
