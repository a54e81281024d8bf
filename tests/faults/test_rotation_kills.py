"""`kill -9` in each step of a rotation, and a second scheduler at the same time."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from pathlib import Path

from tests.fixtures.command import until
from tests.fixtures.fluxbase import Fluxbase
from tests.fixtures.rotating import Rotating


def test_a_rotation_that_is_killed_in_each_step_reaches_the_same_end_with_one_new_key(rotating: Rotating) -> None:
    """A rotation is killed at twenty points, one after the other, and resumed each time.

    Retention keeps keys for no time. So the old key is disabled and destroyed within the same rotation.
    """
    rotating.configure(retain=0, cooling_off="0")
    flux = Fluxbase(rotating.rotation.url)
    before = {spot: opened.text for spot, opened in flux.everything(rotating.keys()).items() if opened.versions}
    driver = str(Path(__file__).with_name("fatal_rotation.py"))

    with rotating.command.start_line([sys.executable, driver]) as running:
        killed = running.finish()
    last = rotating.command("rotation", "run", "-o", "json")

    ends = [line.split() for line in killed.stdout.splitlines()]
    assert len(ends) == 20
    assert {int(code) for _, _, code in ends} == {-signal.SIGKILL}, killed.all
    assert last.code == 0, last.all
    assert (last.json["state"], last.json["rotation"], last.json["to_version"]) == ("finished", 1, 2)
    keys = rotating.keys()
    assert set(keys) == {2}
    assert rotating.file.count("- version:") == 2
    assert "active_key_version: 2   # by the rotation" in rotating.file
    after = flux.everything(keys)
    assert {spot: after[spot].text for spot in before} == before
    assert {after[spot].versions for spot in before} == {(2,)}
    assert rotating.rows("SELECT count(*) FROM fluxbase_rotation.job") == [(1,)]
    created = "SELECT count(*) FROM fluxbase_keys.event WHERE what = %s"
    for what, number in (("key-disabled", 1), ("key-destroyed", 1)):
        assert rotating.rows(created, what) == [(number,)]
    # A process killed between "sent" and "recorded" leaves a notification that is sent again. It has the same id, so a
    # receiver recognises it.
    told = {request.headers["webhook-id"]: request.verify()["type"] for request in rotating.endpoint.requests}
    assert Counter(told.values()) == {
        "rotation.started": 1,
        "key.disabled": 1,
        "key.destroyed": 1,
        "rotation.finished": 1,
    }
    again = rotating.command("rotation", "run", "-o", "json")
    assert (again.code, again.json["state"]) == (0, "not-due")


def test_two_schedulers_at_once_make_one_key(rotating: Rotating) -> None:
    rotating.change("/reloads", "/reloads; read x < pipe")
    pipe = rotating.directory / "pipe"
    with rotating.command.start_line(["mkfifo", str(pipe)]) as made:
        made.finish()

    with rotating.command.start("rotation", "run", "--force") as first:
        until((rotating.directory / "reloads").exists, "the first is at work")
        second = rotating.command("rotation", "run", "--force")
        with pipe.open("w") as end:
            end.write("\n")
        done = first.finish()

    assert done.code == 0, done.all
    assert second.code == 5, second.all
    assert "another process runs a rotation on this database" in second.stderr
    assert set(rotating.keys()) == {1, 2}
