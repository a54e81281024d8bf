"""The scheduled rotation as a process."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.fixtures.command import Command, Running, until
from tests.fixtures.rotating import Rotating

_SECTION = "FLUXBASE_SECURITY_ENCRYPTION_KEY_ROTATION"


def _samples(text: str) -> dict[str, float]:
    return {
        sample.name.removeprefix("fluxbase_rotation_") + sample.labels.get("key_version", ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_plan_says_what_run_will_do_and_run_does_it_once(rotating: Rotating) -> None:
    rotating.configure(retain=0)
    figures = rotating.directory / "fluxbase.prom"

    before = rotating.command("rotation", "plan", "-o", "json")
    done = rotating.command("rotation", "run", "--metrics-file", str(figures))
    after = rotating.command("rotation", "plan", "-o", "yaml")

    assert before.code == 3, before.all
    plan = before.json
    assert plan["due"] is True
    assert plan["why"].endswith("no rotation is recorded yet")
    assert (plan["from_version"], plan["to_version"], plan["obstacle"]) == (1, 2, None)
    assert plan["jobs"] == [{"kind": "re-encrypt", "to_version": 2, "values": 40}]
    (retired,) = plan["retention"]
    assert (retired["version"], retired["action"], retired["values"]) == (1, "disable", 40)
    assert plan["reload_command"] == "sh"

    assert done.code == 0, done.all
    lines = done.stdout.splitlines()
    assert lines[0].startswith("✓ Disabled key version 1 (fingerprint ")
    assert lines[1].startswith("✓ Rotated from version 1 to 2 in ")
    assert lines[2].startswith("Next: ")
    assert "✓ Re-encrypted 40 of 40 secrets (job 1)" in done.stderr
    written = _samples(figures.read_text(encoding="utf-8"))
    assert (written["last_run_success"], written["active_key_version"]) == (1, 2)
    assert (written["values1"], written["values2"], written["undecryptable_values"]) == (0, 40, 0)
    assert written["duration_seconds"] > 0
    assert written["rate_values_per_second"] > 0
    assert 0 < written["active_key_age_seconds"] < 600

    assert after.code == 0, after.all
    assert yaml.safe_load(after.stdout)["due"] is False
    secret_key = rotating.vault.get("keys/v2")["key"]
    assert secret_key not in done.all + before.all + after.all + rotating.file + figures.read_text(encoding="utf-8")


def test_a_webhook_that_is_always_down_stops_nothing_and_is_reported_at_the_end(rotating: Rotating) -> None:
    rotating.configure(webhook="http://127.0.0.1:1/token-marker")

    done = rotating.command("rotation", "run", "--force", "-o", "json")

    assert done.code == 0, done.all
    assert done.json["state"] == "finished"
    assert done.json["undelivered"] == ["127.0.0.1: Connection refused"] * 2
    assert "notifications were not delivered: 127.0.0.1: Connection refused" in done.stderr
    assert "token-marker" not in done.all


def test_a_test_notification_says_whether_it_was_delivered(rotating: Rotating) -> None:
    taken = rotating.command("rotation", "test-notification", "-o", "json")
    (request,) = rotating.endpoint.requests
    told = request.verify()
    rotating.endpoint.answers = [401]
    refused = rotating.command("rotation", "test-notification")

    assert (taken.code, taken.json) == (0, {"id": told["id"], "host": "127.0.0.1", "signed": True})
    assert (told["type"], told["data"]["message"]) == ("test", "A test of fluxbase-cli")
    assert refused.code == 1
    assert "the notification was not accepted: 127.0.0.1 answered 401" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (("plan",), {f"{_SECTION}_SCHEDULE": "0 25 * * *"}, f"{_SECTION}_SCHEDULE is not a cron expression: bad hour"),
        (("run",), {f"{_SECTION}_TIMEZONE": "Mars/Olympus"}, f"{_SECTION}_TIMEZONE is not the name of a time zone"),
        (
            ("daemon",),
            {f"{_SECTION}_NOTIFICATION_WEBHOOK": "ftp://x/"},
            f"{_SECTION}_NOTIFICATION_WEBHOOK is not a URL that begins with https:// or http://",
        ),
        (("daemon", "--listen", "9821"), {}, "--listen must be HOST:PORT, or none"),
        (("health", "--listen", "none"), {}, "--listen none: a daemon that does not listen can't be asked"),
        (
            ("test-notification",),
            {f"{_SECTION}_NOTIFICATION_FORMAT": "xml"},
            f"{_SECTION}_NOTIFICATION_FORMAT must be one of json, slack",
        ),
    ],
)
def test_an_unusable_setting_gives_one_line_and_exit_code_2(
    rotating: Rotating, arguments: tuple[str, ...], variables: dict[str, str], message: str
) -> None:
    done = rotating.command.having(**variables)("rotation", *arguments)

    assert done.code == 2, done.all
    assert message in done.stderr.splitlines()[0]
    assert "Traceback" not in done.stderr


def test_config_check_reads_the_schedule_too(rotating: Rotating) -> None:
    done = rotating.command.having(**{f"{_SECTION}_SCHEDULE": "0 25 * * *"})("config", "check", "-o", "json")

    assert done.code == 2, done.all
    (finding,) = (each for each in done.json["checks"] if each["check"] == "rotation")
    assert finding["verdict"] == "refuse"
    assert "is not a cron expression: bad hour" in finding["message"]


def _ask(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{address}{path}", timeout=30) as answer:  # noqa: S310  # the daemon of this test
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""


def _health(address: str) -> dict[str, Any]:
    return dict(json.loads(_ask(address, "/healthz")[1]))


def test_the_daemon_rotates_when_due_answers_requests_reloads_its_configuration_and_stops_cleanly(
    rotating: Rotating, tmp_path: Path
) -> None:
    rotating.change("enabled: true", "enabled: false")
    with rotating.command.start("rotation", "daemon", "--listen", "127.0.0.1:0") as running:
        until(lambda: "Not due: key_rotation.enabled is false" in running.stderr or running.ended, "it sleeps")
        address = _address(running)
        assert _health(address)["state"] == "sleeping"
        assert _samples(_ask(address, "/metrics")[1])["active_key_version"] == 1
        # As the health check of a container asks: the address is the daemon's own, and there is no configuration.
        asked = Command(tmp_path, {"FLUXBASE_CLI_LISTEN": f"0.0.0.0:{address.rpartition(':')[2]}"})(
            "rotation", "health"
        )
        assert (asked.code, asked.stderr) == (0, "")
        assert asked.stdout.startswith("The daemon is sleeping until 20")

        rotating.change("enabled: false", "enabled: true")
        running.send(signal.SIGHUP)
        until(lambda: "Next: " in running.stderr or running.ended, "it has rotated")
        health = _health(address)
        assert (health["status"], health["state"], health["error"]) == ("ok", "sleeping", None)
        assert health["next_rotation"].endswith("-01T02:00:00Z")
        assert _samples(_ask(address, "/metrics")[1])["active_key_version"] == 2
        assert _ask(address, "/else")[0] == 404

        rotating.change('schedule: "0 2 1 * *"', 'schedule: "0 25 1 * *"')
        running.send(signal.SIGHUP)
        until(lambda: "trying again at" in running.stderr or running.ended, "it tells what is wrong")
        assert _health(address)["status"] == "failing"
        assert "is not a cron expression: bad hour" in _health(address)["error"]
        failing = _samples(_ask(address, "/metrics")[1])
        assert (failing["last_run_success"], failing["active_key_version"]) == (0, 2)

        running.send(signal.SIGTERM)
        done = running.finish()

    assert done.code == 0, done.all
    assert rotating.endpoint.kinds == ["rotation.started", "rotation.finished"]
    assert set(rotating.keys()) == {1, 2}


def _address(running: Running) -> str:
    line = next(each for each in running.stderr.splitlines() if each.startswith("Listening on "))
    return line.split()[2]


def test_a_rotation_in_which_the_daemon_stopped_is_resumed_by_run(rotating: Rotating) -> None:
    rotating.change("/reloads", "/reloads; sleep 1")

    with rotating.command.start("rotation", "daemon", "--listen", "none") as running:
        until(lambda: (rotating.directory / "reloads").exists() or running.ended, "it is in the middle")
        running.send(signal.SIGTERM)
        stopped = running.finish()
    done = rotating.command("rotation", "run", "-o", "json")

    assert stopped.code == 143, stopped.all
    assert (done.code, done.json["state"], done.json["rotation"]) == (0, "finished", 1), done.all
    # The signal has ended the first reload_command before its end was recorded.
    assert (rotating.directory / "reloads").read_text() == "x\nx\n"
