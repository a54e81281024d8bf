"""`kill -9` in each step of a cutover, on its way back, and at random."""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.fixtures.served import SERVER_KEY, Served

_DRIVER = str(Path(__file__).with_name("fatal_rotation.py"))


def _killed(served: Served, kind: str) -> list[tuple[str, str, int]]:
    with served.command.start_line([sys.executable, _DRIVER, kind]) as running:
        ended = running.finish(timeout_s=180)
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert lines, ended.all
    return [(step, moment, int(code)) for step, moment, code in lines]


def _has_changed_its_key_once(served: Served, before: dict[Any, bytes]) -> None:
    new = served.server_key
    assert new != SERVER_KEY
    assert served.env["FLUXBASE_SECRET_KEY_1"] == SERVER_KEY
    assert served.env["FLUXBASE_SECRET_KEY_2"] == new
    assert "FLUXBASE_SECRET_KEY_3" not in served.env
    assert served.is_healthy()
    served.works_on()
    assert served.failed_reads() == 0
    assert served.plaintexts(new) == before
    assert served.rotation.rows("SELECT count(*) FROM fluxbase_rotation.rotation") == [(1,)]
    assert served.rotation.rows("SELECT state FROM fluxbase_rotation.rotation") == [("finished",)]


def test_a_cutover_that_is_killed_in_each_step_reaches_the_same_end_with_one_new_key(served: Served) -> None:
    before = served.plaintexts(SERVER_KEY)

    killed = _killed(served, "cutover")
    last = served.command("rotation", "run", "--force", "-o", "json")

    assert len(killed) == 24
    assert {code for _, _, code in killed} == {-signal.SIGKILL}, killed
    assert (last.code, last.json["state"], last.json["rotation"]) == (0, "finished", 1), last.all
    _has_changed_its_key_once(served, before)


def test_a_way_back_that_is_killed_is_finished_by_the_next_run(served: Served) -> None:
    before = served.plaintexts(SERVER_KEY)
    served.behave("unhealthy")
    served.change("health_timeout: 8s", "health_timeout: 2s")

    killed = _killed(served, "way-back")
    last = served.command("rotation", "run", "--force", "-o", "json")

    assert {code for _, _, code in killed} == {-signal.SIGKILL}, killed
    assert [(step, moment) for step, moment, _ in killed][-2:] == [("return", "done"), ("return", "recorded")]
    assert (last.code, last.json["state"]) == (1, "returned"), last.all
    assert served.server_key == SERVER_KEY
    assert served.is_healthy()
    assert served.plaintexts(SERVER_KEY) == before


def test_a_cutover_that_is_killed_at_random_reaches_the_same_end(served: Served) -> None:
    before = served.plaintexts(SERVER_KEY)
    # Any times do; the same ones in each run make a failure repeatable.
    rng = random.Random(20261126)  # noqa: S311  # no secret

    for _ in range(8):
        with served.command.start("rotation", "run", "--force") as running:
            time.sleep(rng.uniform(0.3, 3.0))
            if running.ended:
                break
            running.kill()
    last = served.command("rotation", "run", "--force", "-o", "json")

    state = served.rotation.value("SELECT count(*) FROM fluxbase_rotation.rotation WHERE state = 'running'")
    assert last.code == 0, last.all
    assert state == 0
    new = served.server_key
    assert served.is_healthy()
    served.works_on()
    assert served.failed_reads() == 0
    assert served.plaintexts(new) == before
