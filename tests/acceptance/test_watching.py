"""`secrets status` of a running job, and `--watch`, which shows it until it has ended."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.fixtures.command import Rotation, Running, until
from tests.fixtures.proxy import Proxy

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes")
_WATCH = ("secrets", "status", "--watch", "--interval", "0.1")


@contextmanager
def held_up(rotation: Rotation) -> Iterator[psycopg.Connection[Any]]:
    """A job that has done a part of its work and waits for a table. Roll back the connection, and it continues.

    A locked row would not do: after a few seconds the job goes on without it.
    """
    with psycopg.connect(rotation.url) as blocker:
        blocker.execute("LOCK TABLE functions.secrets IN EXCLUSIVE MODE")
        with rotation.command.start(*_RE_ENCRYPT) as running:
            until(lambda: rotation.rows_done() > 100, "a part is done")
            until(rotation.waits_for_a_lock, "the job waits for the table")
            yield blocker
            blocker.rollback()
            assert running.finish().code == 0


@contextmanager
def watching(rotation: Rotation, name: str, *arguments: str, **variables: str) -> Iterator[tuple[Running, Path]]:
    """The command with its stdout in a file, so that the test can read it while the command runs."""
    out = rotation.command.directory / name
    line = f"exec {shlex.join(rotation.command.line(*_WATCH, *arguments))} > {shlex.quote(str(out))}"
    out.touch()
    with rotation.command.start_line(["sh", "-c", line], **variables) as running:
        yield running, out


def _lines(out: Path) -> int:
    return out.read_text().count("\n")


def test_a_running_job_shows_its_rate_and_its_runners_and_is_watched_to_its_end(rotation: Rotation) -> None:
    rotation.seed(1000)
    with held_up(rotation) as blocker:
        listed = rotation.command("secrets", "status", "-o", "json").json["jobs"][0]
        shown = rotation.command("secrets", "status", "1").stdout
        with watching(rotation, "json", "-o", "json") as (objects, json_out), watching(rotation, "text") as (text, out):
            until(lambda: _lines(out) > 1, "two readings in words")
            text.send(signal.SIGINT)
            interrupted = text.finish()
            until(lambda: _lines(json_out) > 1, "two readings as objects")
            blocker.rollback()
            ended = objects.finish()

    assert (listed["state"], listed["alive"]) == ("running", True)
    assert listed["rate_per_second"] > 0
    assert listed["eta_seconds"] > 0
    assert "secrets/s" in shown
    assert "s ago" in shown
    assert (interrupted.code, interrupted.stderr) == (130, "")
    assert all("Job 1: re-encrypt, version 1 to 2, running, " in line for line in out.read_text().splitlines())
    assert (ended.code, ended.stderr) == (0, "")
    readings = [json.loads(line) for line in json_out.read_text().splitlines()]
    assert readings[0]["runners"][0]["heartbeat_age_seconds"] < 30
    percents = {each["location"]: each["percent"] for each in readings[0]["locations"]}
    assert percents["functions.secrets.encrypted_value"] < 100
    assert percents["auth.users.totp_secret"] == 100
    assert (readings[-1]["state"], readings[-1]["percent"], readings[-1]["re_encrypted"]) == ("completed", 100, 850)
    assert readings[-1]["rate_per_second"] is None


def test_a_job_is_watched_on_a_terminal(rotation: Rotation) -> None:
    rotation.seed(1000)
    rotation.value(
        "UPDATE app.settings SET encrypted_value = overlay(encrypted_value PLACING 'AAAA' FROM 9)"
        " WHERE id = (SELECT id FROM app.settings LIMIT 1) RETURNING id"
    )
    with psycopg.connect(rotation.url) as blocker:
        blocker.execute("SELECT FROM functions.secrets LIMIT 1 FOR UPDATE")
        with rotation.command.start(*_RE_ENCRYPT) as running:
            until(rotation.waits_for_a_lock, "the job waits for the row")

            def let_go() -> str:
                blocker.rollback()
                return ""

            outcome = rotation.command.on_terminal(*_WATCH, width=160, answers=[("last heard of", let_go)])
            assert running.finish().code == 4

    assert outcome.code == 0
    for text in (
        "functions.secrets.encrypted_value",
        "running",
        "alive",
        "completed, 100% done",
        "1 value could not be opened",
    ):
        assert text in outcome.stdout
    assert "Traceback" not in outcome.stdout


@pytest.mark.parametrize("form", [(), ("-o", "yaml")])
def test_without_an_unfinished_job_there_is_nothing_to_watch(rotation: Rotation, form: tuple[str, ...]) -> None:
    """The list of jobs is shown, as without --watch. A job that has ended is shown once."""
    rotation.seed(20)
    nothing = rotation.command(*_WATCH, *form)
    assert nothing.code == 0
    assert ("jobs: []" if form else "No job has run") in nothing.stdout
    rotation.command(*_RE_ENCRYPT)

    ended = rotation.command(*_WATCH, "1", *form)

    assert ended.code == 0
    assert ("state: completed" if form else "Job 1: re-encrypt, version 1 to 2, completed, 100% done") in ended.stdout
    assert rotation.command(*_WATCH, "99").code == 2


def test_watch_waits_for_a_server_that_is_away(rotation: Rotation, proxy: Proxy) -> None:
    """It also watches an interrupted job, because another process may resume it."""
    rotation.seed(1000)
    with held_up(rotation) as blocker, watching(rotation, "text", FLUXBASE_DATABASE_URL=proxy.url) as (running, out):
        until(lambda: _lines(out) > 0, "a reading")
        proxy.cut()
        until(lambda: "waiting" in running.stderr, "the watcher says what it waits for")
        proxy.mend()
        blocker.rollback()
        outcome = running.finish()

    assert outcome.code == 0
    assert "completed, 100% done" in out.read_text()
