"""The cutover of a server that knows one key, with a stand-in for the server (tests/fixtures/stand_in_server.py)."""

from __future__ import annotations

import re
import signal
from typing import Any

import psycopg
import pytest

from fluxbase_cli.config import load_settings
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.rotation.context import RotationContext
from fluxbase_cli.rotation.rotator import Rotator
from tests.fixtures.command import until
from tests.fixtures.served import SERVER_KEY, Served


def test_one_command_changes_the_key_of_a_running_server(served: Served) -> None:
    before = served.plaintexts(SERVER_KEY)

    done = served.command("rotation", "run", "--force", "-o", "json")

    assert done.code == 0, done.all
    served.works_on()
    new = served.server_key
    assert new != SERVER_KEY
    assert re.fullmatch("[A-Za-z0-9_-]{32}", new)
    assert served.env == {
        "POSTGRES_PASSWORD": "x",
        "FLUXBASE_ENCRYPTION_KEY": new,
        "FLUXBASE_SECRET_KEY_1": SERVER_KEY,
        "FLUXBASE_SECRET_KEY_2": new,
        "TZ": "UTC",
    }
    assert served.calls() == ["start", "stop", "start"]
    assert served.is_healthy()
    assert served.failed_reads() == 0
    assert served.plaintexts(new) == before
    report = done.json
    assert (report["state"], report["from_version"], report["to_version"]) == ("finished", 1, 2)
    away = report["server"]
    assert away["away_seconds"] >= away["stop_seconds"] + away["start_seconds"] > 0, away


def _is_back(served: Served, before: dict[Any, bytes]) -> None:
    """The server runs under its old key, and every value is under it."""
    assert served.server_key == SERVER_KEY
    assert served.env["FLUXBASE_ENCRYPTION_KEY"] == SERVER_KEY
    assert served.is_healthy()
    failed = served.failed_reads()
    served.works_on()
    assert served.failed_reads() == failed
    assert served.plaintexts(SERVER_KEY) == before


def test_a_server_that_does_not_become_healthy_gets_its_old_key_and_values_back(served: Served) -> None:
    before = served.plaintexts(SERVER_KEY)
    served.behave("unhealthy")

    back = served.command("rotation", "run", "--force", "-o", "json")

    assert back.code == 1, back.all
    _is_back(served, before)
    assert back.json["state"] == "returned"
    assert "is not healthy after 8 s" in back.json["returned"]
    assert back.json["server"]["away_seconds"] > 8
    assert served.calls() == ["start", "stop", "start", "stop", "start"]


def test_a_start_command_that_fails_goes_back(served: Served) -> None:
    before = served.plaintexts(SERVER_KEY)
    served.behave("fail-start")

    back = served.command("rotation", "run", "--force")

    assert back.code == 1, back.all
    _is_back(served, before)
    assert "no space left on device" in back.stderr
    assert re.search(r"✗ Went back to version 1: start_command \S+start.sh ended with exit code 3", back.stdout)
    assert "The server was away for" in back.stdout


def test_a_server_that_comes_up_with_another_key_goes_back(served: Served) -> None:
    before = served.plaintexts(SERVER_KEY)
    # As `docker compose restart` does: the container keeps the environment with the old key.
    served.behave("other-key", SERVER_KEY)

    back = served.command("rotation", "run", "--force", "-o", "json")

    assert back.code == 1, back.all
    assert "the server came up with another key than it was given" in back.json["returned"]
    changed = {spot for spot, text in served.plaintexts(SERVER_KEY).items() if before[spot] != text}
    # While it ran with the old key, it sealed one token. The way back keeps that token.
    assert len(changed) == 1
    _is_back(served, {**before, **dict.fromkeys(changed, b"token of a login")})


def test_a_server_that_comes_up_with_a_key_that_nobody_knows_goes_back(served: Served) -> None:
    before = served.plaintexts(SERVER_KEY)
    served.behave("other-key", "n0b0dy-kN0ws_7hIs.k3y+At/aLl=xYz")

    back = served.command("rotation", "run", "--force", "-o", "json")

    assert back.code == 1, back.all
    assert "1 value can't be opened since it was started" in back.json["returned"]
    after = served.plaintexts(SERVER_KEY)
    lost = set(before) - set(after)
    assert len(lost) == 1
    _is_back(served, {spot: text for spot, text in before.items() if spot not in lost})


def test_a_server_that_cannot_be_stopped_goes_on_running(served: Served) -> None:
    before = served.plaintexts(SERVER_KEY)
    served.behave("fail-stop")

    back = served.command("rotation", "run", "--force", "-o", "json")

    assert back.code == 1, back.all
    assert re.search(r"stop_command \S+stop.sh ended with exit code 3", back.json["returned"])
    assert served.calls() == ["start", "stop"]
    _is_back(served, before)


def test_another_session_is_waited_for_and_named_and_the_server_started_again(served: Served) -> None:
    before = served.plaintexts(SERVER_KEY)

    with psycopg.connect(served.rotation.url, application_name="reporting"):
        back = served.command("rotation", "run", "--force", "-o", "json")

        assert back.code == 1, back.all
        assert re.search(r"1 session is still on the database 5 s after .*\(reporting\)", back.json["returned"])
        _is_back(served, before)

        served.change("      session_timeout: 5s", "      session_timeout: 5s\n      ignore_sessions: [reporting]")
        done = served.command("rotation", "run", "--force", "-o", "json")

    assert done.code == 0, done.all
    assert served.plaintexts(served.server_key) == before


def test_after_a_way_back_the_next_run_uses_the_same_new_key(served: Served) -> None:
    served.behave("fail-start")
    assert served.command("rotation", "run", "--force").code == 1
    made = served.env["FLUXBASE_SECRET_KEY_2"]
    served.behave_well()

    done = served.command("rotation", "run", "--force", "-o", "json")

    assert (done.code, done.json["to_version"]) == (0, 2), done.all
    assert served.server_key == made
    assert "FLUXBASE_SECRET_KEY_3" not in served.env


def test_what_is_missing_is_told_before_anything_is_touched(served: Served) -> None:
    served.change(f'stop_command: ["{served.directory}/stop.sh"]', "stop_command: [no-such-program]")
    served.change("env_file: .env", "env_file: other.env")
    served.command.write("other.env", "FLUXBASE_ENCRYPTION_KEY=0123456789ABCDEFGHIJabcdefghijxx\n")
    served.change(f":{served.port}/", ":1/")

    refused = served.command("rotation", "run", "--force", FLUXBASE_ENCRYPTION_KEY=SERVER_KEY)

    assert refused.code == 2, refused.all
    assert "there is no program no-such-program" in refused.stderr
    assert "health_url: http://127.0.0.1:1/health: no answer" in refused.stderr
    assert served.calls() == ["start"]
    assert served.failed_reads() == 0
    assert "SECRET_KEY" not in (served.directory / ".env").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_server_is_stopped_goes_back(served: Served, number: signal.Signals) -> None:
    before = served.plaintexts(SERVER_KEY)
    # A session that nobody ends: the cutover waits after the server was stopped.
    served.change("session_timeout: 5s", "session_timeout: 60s")

    with (
        psycopg.connect(served.rotation.url, application_name="reporting"),
        served.command.start("rotation", "run", "--force", "-o", "json") as running,
    ):
        until(lambda: "Waiting until no other session is left" in running.stderr, "it waits")
        running.send(number)
        ended = running.finish()

    assert ended.code == 128 + number, ended.all
    assert ended.json["state"] == "interrupted"
    _is_back(served, before)


def test_a_job_that_is_stopped_by_a_person_goes_back(served: Served) -> None:
    before = served.plaintexts(SERVER_KEY)
    served.change("      session_timeout: 5s", "      session_timeout: 5s\n      ignore_sessions: [reporting]")
    served.behave("slow-stop")
    with (
        psycopg.connect(served.rotation.url, application_name="reporting") as blocker,
        served.command.start("rotation", "run", "--force", "-o", "json") as running,
    ):
        until(lambda: served.calls() == ["start", "stop"] and not served.is_healthy(), "the server is stopped")
        blocker.execute("SELECT FROM functions.secrets FOR UPDATE")
        served.behave_well()
        until(served.rotation.waits_for_a_lock, "the job waits")
        stopped = served.command("secrets", "stop", "--reason", "not now", "--no-wait")
        # Without the lock, the small job could end before it notices.
        until(lambda: "topped by" in running.stderr, "the job notices")
        blocker.rollback()
        back = running.finish()

    assert stopped.code == 0, stopped.all
    assert back.code == 1, back.all
    assert "was stopped by" in back.json["returned"]
    assert "not now" in back.json["returned"]
    _is_back(served, before)


def test_without_the_servers_key_nothing_begins(served: Served) -> None:
    """With a wrong guess, the way back would give the server a key that it did not have."""
    served.command.write(".env", "TZ=UTC\n")
    served.change("      env_file: .env\n", "      keyring: single\n      install_key_command: [cat]\n")
    known = served.command.having(FLUXBASE_SECRET_KEY_1=SERVER_KEY)
    refused = known("rotation", "run", "--force", FLUXBASE_SECRET_KEY_2="Qr7vK1mZ-x0_pLw9TtYc3NbG5sHdJ2fe")
    assert refused.code == 2, refused.all
    assert "which key the server has is not configured" in refused.stderr
    assert served.calls() == ["start"]


def test_the_schedule_does_not_stop_the_server_again_after_a_way_back(served: Served) -> None:
    before = served.plaintexts(SERVER_KEY)
    served.behave("fail-start")
    served.change(
        "    server:\n", '    key_rotation: {enabled: true, schedule: "0 2 1 * *", min_age: 7d}\n    server:\n'
    )

    back = served.command("rotation", "run", "-o", "json")
    calls = served.calls()
    again = served.command("rotation", "run", "-o", "json")

    assert (back.code, back.json["state"]) == (1, "returned"), back.all
    assert (again.code, again.json["state"]) == (0, "not-due"), again.all
    assert served.calls() == calls
    _is_back(served, before)


def test_a_signal_while_everything_is_checked_begins_nothing(served: Served) -> None:
    here = served.directory
    environ = served.command.variables()
    stop, said = Stop(), list[str]()
    stop.request(signal.SIGTERM)
    context = RotationContext(
        load=lambda: load_settings(directory=here, environ=environ, system_directory=here / "etc"),
        environ=environ,
        tell=lambda _event, text: said.append(text),
        warn=lambda _event, text: said.append(text),
        stop=stop,
    )

    report = Rotator(context).run(force=True)

    assert (report.state, report.exit_code, report.rotation) == ("interrupted", 143, None)
    assert served.calls() == ["start"]
    assert served.env["FLUXBASE_ENCRYPTION_KEY"] == SERVER_KEY
