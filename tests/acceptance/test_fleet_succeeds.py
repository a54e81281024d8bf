"""`--fleet FILE`: what is done on each instance, and what is printed, when all succeed?"""

from __future__ import annotations

import json
import re

import yaml

from tests.fixtures.fleet import AUDIT, RE_ENCRYPT, FleetBed, by_name


def test_each_instance_is_done_with_its_own_keys(fleet: FleetBed) -> None:
    eu, us = fleet.add("eu", values=100), fleet.add("us", values=60)
    before = {member.name: member.read().plaintexts for member in (eu, us)}

    outcome = fleet.command(*RE_ENCRYPT)

    assert outcome.code == 0, outcome.all
    lines = [re.sub(r"\d+s$", "1s", line) for line in outcome.stdout.splitlines()]
    assert lines == [
        "✓ eu: scanned 100, re-encrypted 85, already current 15, 1s",
        "✓ us: scanned 60, re-encrypted 51, already current 9, 1s",
        "2 instances: 2 done",
    ]
    for member, count in ((eu, 100), (us, 60)):
        assert member.versions == {2: count}
        assert member.read().plaintexts == before[member.name]
    for name in ("eu", "us"):
        assert f"{name}: started\n" in outcome.stderr
        assert re.search(rf"^{name}: done after \d+s$", outcome.stderr, re.MULTILINE)


def test_json_is_one_object_that_holds_the_object_of_each_instance(fleet: FleetBed) -> None:
    for name, count in (("eu", 40), ("us", 20)):
        fleet.add(name, values=count)

    outcome = fleet.command(*RE_ENCRYPT, "-o", "json")

    assert list(outcome.json) == ["command", "instances", "exit_code", "done", "failed"]
    assert [outcome.json[name] for name in ("command", "exit_code", "done", "failed")] == [
        "secrets re-encrypt",
        0,
        2,
        0,
    ]
    assert [each["name"] for each in outcome.json["instances"]] == ["eu", "us"]
    eu = by_name(outcome.json)["eu"]
    assert list(eu) == ["name", "config", "exit_code", "outcome", "elapsed_seconds", "result", "error"]
    assert (eu["config"], eu["exit_code"], eu["outcome"], eu["error"]) == (
        str(fleet.members["eu"].folder / "fluxbase.yaml"),
        0,
        "done",
        None,
    )
    assert 0 < eu["elapsed_seconds"] < 60
    # Exactly what the command of the instance would have printed.
    assert (eu["result"]["state"], eu["result"]["scanned"], len(eu["result"]["locations"])) == ("completed", 40, 10)


def test_a_second_run_finds_nothing_left_to_do(fleet: FleetBed) -> None:
    fleet.add("eu", values=40)
    assert fleet.command(*RE_ENCRYPT).code == 0

    again = fleet.command(*RE_ENCRYPT, "-o", "json")

    assert again.code == 0
    assert by_name(again.json)["eu"]["result"]["re_encrypted"] == 0


def test_an_audit_a_rollback_a_dry_run_and_a_check_work_for_a_fleet(fleet: FleetBed) -> None:
    fleet.add("eu", values=40)
    us = fleet.add("us", values=20)
    secondary = ("--fleet", "fleet.yaml")

    found = fleet.command(*AUDIT)
    dry = fleet.command(*RE_ENCRYPT, "--dry-run")
    done = fleet.command(*RE_ENCRYPT)
    proven = fleet.command(*AUDIT)
    reason = '--to-version=2; it\'s "leaked" $(date)'
    back = fleet.command("secrets", "rollback", "--to-version", "1", "--reason", reason, *secondary, "-o", "json")
    everything = fleet.command("secrets", "audit", *secondary, "--parallel", "1")
    checked = fleet.command("config", "check", *secondary)

    assert (found.code, found.stdout.splitlines()[0].rpartition(",")[0]) == (
        3,
        "✗ eu: exit 3: 34 secrets found encrypted with key version 1",
    )
    assert found.stdout.splitlines()[-1] == "2 instances: 2 check says no"
    assert (dry.code, dry.stdout.splitlines()[1].rpartition(",")[0]) == (
        0,
        "✓ us: scanned 20, would re-encrypt 17, already current 3",
    )
    assert done.code == 0
    assert (proven.code, proven.stdout.splitlines()[1].rpartition(",")[0]) == (
        0,
        "✓ us: no secrets found encrypted with key version 1",
    )
    assert back.code == 0
    assert by_name(back.json)["us"]["result"]["reason"] == reason
    assert us.versions == {1: 20}
    assert everything.stdout.splitlines()[0].rpartition(",")[0] == "✓ eu: scanned 40, version 1: 40, version 2: 0"
    assert (checked.code, checked.stdout.splitlines()[0].rpartition(",")[0]) == (0, "✓ eu: ready")


def test_yaml_is_the_same_object(fleet: FleetBed) -> None:
    fleet.add("eu", values=20)

    data = yaml.safe_load(fleet.command(*AUDIT, "-o", "yaml").stdout)

    assert by_name(data)["eu"]["outcome"] == "check-says-no"


def test_json_output_contains_no_text_line(fleet: FleetBed) -> None:
    fleet.add("eu", values=20)

    text = fleet.command(*AUDIT, "-o", "json").stdout

    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
