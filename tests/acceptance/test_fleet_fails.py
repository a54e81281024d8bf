"""`--fleet FILE`: what is reported about an instance that fails, and do the others continue?"""

from __future__ import annotations

from tests.fixtures.fleet import AUDIT, RE_ENCRYPT, FleetBed, by_name, messages


def test_an_unreachable_instance_and_one_with_a_wrong_key_do_not_stop_the_others(
    fleet: FleetBed, closed_port: str
) -> None:
    fleet.add("away", url=closed_port)
    mixed_up = fleet.add("mixed-up", values=1000, OLD_SECRET_KEY=b"x".hex() * 32)
    fine = fleet.add("fine", values=1000)

    outcome = fleet.command(*RE_ENCRYPT, "--parallel", "1", "-o", "json", "--patience", "0")

    assert (outcome.code, outcome.json["exit_code"]) == (1, 1)
    assert (outcome.json["done"], outcome.json["failed"]) == (1, 2)
    ended = by_name(outcome.json)
    assert [(name, each["exit_code"], each["outcome"]) for name, each in ended.items()] == [
        ("away", 1, "failed"),
        ("mixed-up", 6, "wrong-key"),
        ("fine", 0, "done"),
    ]
    assert "somebody@127.0.0.1:1/nowhere" in ended["away"]["error"]
    assert [ended[name]["result"] for name in ("away", "mixed-up")] == [None, None]
    assert all("\n" not in each["error"] for each in ended.values() if each["error"])
    assert fine.versions == {2: 1000}
    assert mixed_up.versions[1] == 850
    for secret in fleet.secrets():
        assert secret not in outcome.all


def test_in_text_output_each_failure_has_its_line_and_its_hint(fleet: FleetBed, closed_port: str) -> None:
    fleet.add("away", url=closed_port)
    fleet.add("keyless", values=20, OLD_SECRET_KEY="")
    fleet.add("fine", values=20)

    outcome = fleet.command(*RE_ENCRYPT, "--patience", "0")

    assert outcome.code == 1
    lines = outcome.stdout.splitlines()
    assert lines[0].startswith("✗ away: exit 1: ")
    assert lines[1].startswith("✗ keyless: exit 2: ")
    assert "${OLD_SECRET_KEY}" in lines[1]
    assert lines[2].startswith("✓ fine: scanned 20")
    assert lines[3:] == ["3 instances: 1 done, 1 failed, 1 refused"]
    assert "Error: keyless: " in outcome.stderr
    assert "Set OLD_SECRET_KEY in the environment or in .env" in outcome.stderr


def test_undecryptable_values_are_reported_with_the_name_of_the_instance(fleet: FleetBed) -> None:
    eu = fleet.add("eu", values=1000)
    fleet.add("us", values=20)
    eu.rotation.rows("UPDATE branching.github_config SET webhook_secret = overlay(webhook_secret PLACING 'AA' FROM 9)")

    outcome = fleet.command(*RE_ENCRYPT, "--log-format", "json")

    assert outcome.code == 4
    assert outcome.stdout.splitlines()[0].startswith("! eu: exit 4: scanned 1000, ")
    assert ", undecryptable 6, " in outcome.stdout.splitlines()[0]
    assert outcome.stdout.splitlines()[-1] == "2 instances: 1 done, 1 undecryptable"
    warned = [each for each in messages(outcome.stderr, "eu") if each["level"] == "warning"]
    assert {each["location"] for each in warned if "location" in each} == {"branching.github_config.webhook_secret"}
    assert not [each for each in messages(outcome.stderr, "us") if each["level"] == "warning"]


def test_warnings_come_after_the_name_of_the_instance(fleet: FleetBed) -> None:
    fleet.add("eu", values=20, NEW_SECRET_KEY="k" * 32)

    outcome = fleet.command(*AUDIT)
    quiet = fleet.command(*AUDIT, "--quiet")

    assert "Warning: eu: 3 values open under no configured key" in outcome.stderr
    assert quiet.stderr == ""
    assert quiet.stdout.startswith("✗ eu: exit 3: ")


def test_every_line_on_stderr_is_json_when_asked_for(fleet: FleetBed, closed_port: str) -> None:
    fleet.add("away", url=closed_port)
    fleet.add("eu", values=20)

    outcome = fleet.command(*AUDIT, "--log-format", "json")

    said = messages(outcome.stderr, "eu")
    assert said[0]["message"] == "started"
    assert said[-1]["outcome"] == "check-says-no"
    (error,) = [each for each in messages(outcome.stderr, "away") if each["level"] == "error"]
    assert "127.0.0.1:1" in error["message"]
    assert len(messages(outcome.stderr, "eu") + messages(outcome.stderr, "away")) == len(outcome.stderr.splitlines())


def test_text_from_the_database_cannot_control_the_terminal(fleet: FleetBed) -> None:
    """The name of a trigger, which a warning shows, contains a sequence that clears the screen."""
    eu = fleet.add("eu", values=20)
    eu.rotation.rows("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'")
    eu.rotation.rows(
        'CREATE TRIGGER "bad\x1b[2J\x07" BEFORE UPDATE ON functions.secrets EXECUTE FUNCTION nothing();'
        ' ALTER TABLE functions.secrets ENABLE ALWAYS TRIGGER "bad\x1b[2J\x07"'
    )

    outcome = fleet.command(*RE_ENCRYPT, "--allow-triggers")

    assert outcome.code == 0
    assert (
        r"Warning: eu: these triggers fire on every value written: functions.secrets.bad\x1b[2J\x07" in outcome.stderr
    )
    assert "\x1b" not in outcome.all
    assert "\x07" not in outcome.all
