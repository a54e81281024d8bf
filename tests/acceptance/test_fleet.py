"""`--fleet FILE`: one command on many instances, what is printed of each, and what must not pass between them."""

from __future__ import annotations

import json
import re
import sys
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import yaml

from tests.fixtures.command import NEW_KEY, Rotation, until
from tests.fixtures.fleet import FleetBed, Member, by_name, messages

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--fleet", "fleet.yaml")
_AUDIT = ("secrets", "audit", "--key-version", "1", "--fleet", "fleet.yaml")


def lock(stack: ExitStack, member: Member) -> None:
    """Keep a table of an instance's database from being written until the stack is closed."""
    connection = stack.enter_context(psycopg.connect(member.url))
    connection.execute("LOCK functions.secrets IN EXCLUSIVE MODE")


def touched(member: Member) -> bool:
    """Whether a job was ever begun on an instance."""
    return member.rotation.value("SELECT to_regnamespace('fluxbase_rotation')") is not None


def arguments_of(process: Path) -> str:
    """The arguments of a process, by its folder below /proc; empty where it has ended meanwhile."""
    try:
        return (process / "cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


# --- all go well ------------------------------------------------------------------------------------------------------


def test_each_instance_is_done_with_its_own_keys(fleet: FleetBed) -> None:
    eu, us = fleet.add("eu", values=100), fleet.add("us", values=60)
    before = {member.name: member.read().plaintexts for member in (eu, us)}

    outcome = fleet.command(*_RE_ENCRYPT)

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


def test_json_is_one_object_with_each_instances_own(fleet: FleetBed) -> None:
    for name, count in (("eu", 40), ("us", 20)):
        fleet.add(name, values=count)

    outcome = fleet.command(*_RE_ENCRYPT, "-o", "json")

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
    # Word for word what the instance's own command would have printed.
    assert (eu["result"]["state"], eu["result"]["scanned"], len(eu["result"]["locations"])) == ("completed", 40, 10)


def test_again_it_finds_nothing_left_to_do(fleet: FleetBed) -> None:
    fleet.add("eu", values=40)
    assert fleet.command(*_RE_ENCRYPT).code == 0

    again = fleet.command(*_RE_ENCRYPT, "-o", "json")

    assert again.code == 0
    assert by_name(again.json)["eu"]["result"]["re_encrypted"] == 0


def test_an_audit_a_rollback_a_dry_run_and_a_check(fleet: FleetBed) -> None:
    fleet.add("eu", values=40)
    us = fleet.add("us", values=20)
    secondary = ("--fleet", "fleet.yaml")

    found = fleet.command(*_AUDIT)
    dry = fleet.command(*_RE_ENCRYPT, "--dry-run")
    done = fleet.command(*_RE_ENCRYPT)
    proven = fleet.command(*_AUDIT)
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

    data = yaml.safe_load(fleet.command(*_AUDIT, "-o", "yaml").stdout)

    assert by_name(data)["eu"]["outcome"] == "check-says-no"


# --- one does not -----------------------------------------------------------------------------------------------------


def test_one_that_is_away_and_one_with_a_wrong_key_stop_nobody(fleet: FleetBed, closed_port: str) -> None:
    fleet.add("away", url=closed_port)
    mixed_up = fleet.add("mixed-up", values=1000, OLD_SECRET_KEY=b"x".hex() * 32)
    fine = fleet.add("fine", values=1000)

    outcome = fleet.command(*_RE_ENCRYPT, "--parallel", "1", "-o", "json", "--patience", "0")

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


def test_in_words_each_failure_has_its_line_and_its_hint(fleet: FleetBed, closed_port: str) -> None:
    fleet.add("away", url=closed_port)
    fleet.add("keyless", values=20, OLD_SECRET_KEY="")
    fleet.add("fine", values=20)

    outcome = fleet.command(*_RE_ENCRYPT, "--patience", "0")

    assert outcome.code == 1
    lines = outcome.stdout.splitlines()
    assert lines[0].startswith("✗ away: exit 1: ")
    assert lines[1].startswith("✗ keyless: exit 2: ")
    assert "${OLD_SECRET_KEY}" in lines[1]
    assert lines[2].startswith("✓ fine: scanned 20")
    assert lines[3:] == ["3 instances: 1 done, 1 failed, 1 refused"]
    assert "Error: keyless: " in outcome.stderr
    assert "Set OLD_SECRET_KEY in the environment or in .env" in outcome.stderr


def test_values_that_no_key_opens_are_told_with_the_instances_name(fleet: FleetBed) -> None:
    eu = fleet.add("eu", values=1000)
    fleet.add("us", values=20)
    eu.rotation.rows("UPDATE branching.github_config SET webhook_secret = overlay(webhook_secret PLACING 'AA' FROM 9)")

    outcome = fleet.command(*_RE_ENCRYPT, "--log-format", "json")

    assert outcome.code == 4
    assert outcome.stdout.splitlines()[0].startswith("! eu: exit 4: scanned 1000, ")
    assert ", undecryptable 6, " in outcome.stdout.splitlines()[0]
    assert outcome.stdout.splitlines()[-1] == "2 instances: 1 done, 1 undecryptable"
    warned = [each for each in messages(outcome.stderr, "eu") if each["level"] == "warning"]
    assert {each["location"] for each in warned if "location" in each} == {"branching.github_config.webhook_secret"}
    assert not [each for each in messages(outcome.stderr, "us") if each["level"] == "warning"]


def test_warnings_stand_behind_the_instances_name(fleet: FleetBed) -> None:
    fleet.add("eu", values=20, NEW_SECRET_KEY="k" * 32)

    outcome = fleet.command(*_AUDIT)
    quiet = fleet.command(*_AUDIT, "--quiet")

    assert "Warning: eu: 3 values open under no configured key" in outcome.stderr
    assert quiet.stderr == ""
    assert quiet.stdout.startswith("✗ eu: exit 3: ")


def test_every_line_on_stderr_is_json_when_asked_for(fleet: FleetBed, closed_port: str) -> None:
    fleet.add("away", url=closed_port)
    fleet.add("eu", values=20)

    outcome = fleet.command(*_AUDIT, "--log-format", "json")

    said = messages(outcome.stderr, "eu")
    assert said[0]["message"] == "started"
    assert said[-1]["outcome"] == "check-says-no"
    (error,) = [each for each in messages(outcome.stderr, "away") if each["level"] == "error"]
    assert "127.0.0.1:1" in error["message"]
    assert len(messages(outcome.stderr, "eu") + messages(outcome.stderr, "away")) == len(outcome.stderr.splitlines())


def test_the_database_says_nothing_that_a_terminal_would_obey(fleet: FleetBed) -> None:
    """A trigger's name, which a warning tells, clears the screen."""
    eu = fleet.add("eu", values=20)
    eu.rotation.rows("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'")
    eu.rotation.rows(
        'CREATE TRIGGER "bad\x1b[2J\x07" BEFORE UPDATE ON functions.secrets EXECUTE FUNCTION nothing();'
        ' ALTER TABLE functions.secrets ENABLE ALWAYS TRIGGER "bad\x1b[2J\x07"'
    )

    outcome = fleet.command(*_RE_ENCRYPT, "--allow-triggers")

    assert outcome.code == 0
    assert (
        r"Warning: eu: these triggers fire on every value written: functions.secrets.bad\x1b[2J\x07" in outcome.stderr
    )
    assert "\x1b" not in outcome.all
    assert "\x07" not in outcome.all


# --- what passes, and what does not -----------------------------------------------------------------------------------


def test_nothing_of_our_environment_decides_what_an_instance_does(fleet: FleetBed, closed_port: str) -> None:
    """In the operator's shell stand the keys and the database of quite another instance."""
    eu = fleet.add("eu", values=40)
    stranger = NEW_KEY.hex()

    outcome = fleet.command(
        *_RE_ENCRYPT,
        "-o",
        "json",
        NEW_SECRET_KEY=stranger,
        OLD_SECRET_KEY=stranger,
        FLUXBASE_SECRET_KEY_2=stranger,
        FLUXBASE_ENCRYPTION_KEY=stranger,
        FLUXBASE_DATABASE_URL=closed_port,
        FLUXBASE_DATABASE_HOST="192.0.2.1",
        FLUXBASE_SECURITY_ENCRYPTION_ACTIVE_KEY_VERSION="1",
        FLUXBASE_CLI_DEBUG="0",
        PGOPTIONS="-c default_transaction_read_only=on",
    )

    assert outcome.code == 0, outcome.all
    assert eu.versions == {2: 40}


def test_an_env_file_is_for_its_instance_alone(fleet: FleetBed) -> None:
    eu, us = fleet.add("eu", values=40), fleet.add("us", values=20)
    for member in (eu, us):
        (member.folder / ".env").rename(fleet.command.directory / f"{member.name}.env")
    fleet.write_file(eu={"env_file": "eu.env"}, us={"env_file": "us.env"})

    assert fleet.command(*_RE_ENCRYPT).code == 0

    assert (eu.versions, us.versions) == ({2: 40}, {2: 20})


def test_the_directory_is_where_the_env_is_looked_for(fleet: FleetBed) -> None:
    eu = fleet.add("eu", values=20)
    work = eu.folder / "deep" / "work"
    work.mkdir(parents=True)
    (eu.folder / ".env").rename(work / ".env")

    assert fleet.command(*_AUDIT).code == 2
    fleet.write_file(eu={"directory": "eu/deep/work"})
    assert fleet.command(*_AUDIT).code == 3


def test_python_files_in_an_instances_directory_are_not_run(fleet: FleetBed) -> None:
    eu = fleet.add("eu", values=20)
    for name in ("yaml", "psycopg", "fluxbase_cli", "typer"):
        (eu.folder / f"{name}.py").write_text("raise AssertionError('it was imported')\n")

    assert fleet.command(*_AUDIT).code == 3


def test_the_options_reach_every_instance_typed_or_as_variables(fleet: FleetBed) -> None:
    fleet.add("eu", values=20)
    variables = {
        "FLUXBASE_CLI_FLEET": str(fleet.file),
        "FLUXBASE_CLI_PARALLEL": "2",
        "FLUXBASE_CLI_DRY_RUN": "1",
        "FLUXBASE_CLI_TO_VERSION": "1",
        "FLUXBASE_CLI_OUTPUT": "json",
    }

    outcome = fleet.command.having(**variables)("secrets", "re-encrypt", "--from-version", "2")

    result = by_name(outcome.json)["eu"]["result"]
    assert (result["state"], result["from_version"], result["to_version"]) == ("dry-run", 2, 1)


def test_a_run_name_is_passed_on(fleet: FleetBed) -> None:
    """The second fleet of the same run reports the job of the first, and begins none."""
    fleet.add("eu", values=20)

    jobs = [
        by_name(fleet.command(*_RE_ENCRYPT, "--run-name", "monday", "-o", "json").json)["eu"]["result"]["job"]
        for _ in range(2)
    ]

    assert jobs == [1, 1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="arguments are looked up in /proc")
def test_no_secret_stands_in_the_arguments_of_a_process(fleet: FleetBed) -> None:
    eu = fleet.add("eu", values=20)
    with ExitStack() as locks:
        lock(locks, eu)
        with fleet.command.start(*_RE_ENCRYPT, FLUXBASE_DATABASE_PASSWORD="database-password-marker") as running:
            until(eu.rotation.waits_for_a_lock, "the instance is at work")
            listed = [arguments for pid in Path("/proc").glob("[0-9]*") if (arguments := arguments_of(pid))]
            locks.close()
            assert running.finish().code == 0

    (line,) = [each for each in listed if f"--config={eu.folder / 'fluxbase.yaml'}" in each]
    assert "fluxbase_cli.cli.instance" in line
    assert "--yes" in line
    for secret in {*fleet.secrets(), eu.url}:
        assert secret not in line


# --- how many at a time -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parallel", [1, 2])
def test_so_many_instances_are_at_work_at_a_time(fleet: FleetBed, parallel: int) -> None:
    members = [fleet.add(name, values=20) for name in ("a", "b", "c")]
    with ExitStack() as locks:
        for member in members:
            lock(locks, member)
        with fleet.command.start(*_RE_ENCRYPT, "--parallel", str(parallel)) as running:
            for member in members[:parallel]:
                until(member.rotation.waits_for_a_lock, f"{member.name} is at work")
            assert running.stderr.count(": started") == parallel
            assert not any(touched(member) for member in members[parallel:])
            locks.close()
            outcome = running.finish()

    assert outcome.code == 0
    assert outcome.stdout.splitlines()[-1] == "3 instances: 3 done"


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "variables", "option"),
    [
        (("--config", "eu/fluxbase.yaml"), {}, "--config"),
        ((), {"FLUXBASE_CLI_CONFIG": "eu/fluxbase.yaml"}, "--config"),
        (("--database-url", "postgresql://h/d"), {}, "--database-url"),
        ((), {"FLUXBASE_CLI_DATABASE_URL": "postgresql://u:database-password-marker@h/d"}, "--database-url"),
        (("--join",), {}, "--join"),
    ],
)
def test_what_makes_no_sense_together_is_refused(
    fleet: FleetBed, arguments: tuple[str, ...], variables: dict[str, str], option: str
) -> None:
    eu = fleet.add("eu", values=20)

    outcome = fleet.command.having(**variables)(*_RE_ENCRYPT, *arguments)

    assert outcome.code == 2
    assert outcome.stderr.splitlines()[0].startswith(f"Error: {option} and --fleet can't go together: ")
    assert "marker" not in outcome.all
    assert not touched(eu)


def test_an_option_before_the_commands_name_is_refused_too(fleet: FleetBed) -> None:
    fleet.add("eu")

    assert fleet.command("--config", "eu/fluxbase.yaml", *_AUDIT).code == 2


def test_parallel_without_a_fleet_is_refused_where_it_was_typed(rotation: Rotation) -> None:
    rotation.seed(20)

    assert "--parallel needs --fleet" in rotation.command("secrets", "audit", "--parallel", "2").stderr
    assert rotation.command("secrets", "audit", FLUXBASE_CLI_PARALLEL="2").code == 0


def test_a_mistake_in_the_file_is_told_before_anything_is_touched(fleet: FleetBed) -> None:
    eu = fleet.add("eu", values=20)
    fleet.file.write_text(f"{fleet.file.read_text()}paralell: 4\n")

    outcome = fleet.command(*_RE_ENCRYPT)

    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith("Error: fleet.yaml has the unknown key 'paralell'\n")
    assert not touched(eu)


# --- on a terminal ----------------------------------------------------------------------------------------------------


def test_on_a_terminal_it_is_asked_once_for_all(fleet: FleetBed) -> None:
    members = [fleet.add(name, values=20) for name in ("eu", "us")]

    refused = fleet.command.on_terminal(*_RE_ENCRYPT, width=200, answers=[("Go ahead?", "n")])
    begun = [touched(member) for member in members]
    taken = fleet.command.on_terminal(*_RE_ENCRYPT, width=200, answers=[("Go ahead?", "y")])

    assert refused.code == 1
    assert "Instances: 2, 2 at a time" in refused.stdout
    assert "Command:   secrets re-encrypt --from-version=1 --to-version=2" in refused.stdout
    assert str(members[1].folder / "fluxbase.yaml") in refused.stdout
    assert "Nothing was touched." in refused.stdout
    assert begun == [False, False]
    assert taken.code == 0
    assert taken.stdout.count("Go ahead?") == 1
    assert "2 instances: 2 done" in taken.stdout


@pytest.mark.parametrize("arguments", [(*_RE_ENCRYPT, "--yes"), (*_RE_ENCRYPT, "--dry-run"), _AUDIT])
def test_nothing_is_asked_where_the_answer_is_given_or_nothing_is_written(
    fleet: FleetBed, arguments: tuple[str, ...]
) -> None:
    fleet.add("eu", values=20)

    outcome = fleet.command.on_terminal(*arguments)

    assert "Go ahead?" not in outcome.stdout
    assert "1 instance: 1 " in outcome.stdout


def test_json_has_no_line_of_a_person(fleet: FleetBed) -> None:
    fleet.add("eu", values=20)

    text = fleet.command(*_AUDIT, "-o", "json").stdout

    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
