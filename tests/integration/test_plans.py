"""Plan files: a job that somebody approves is run exactly as it was approved, or not at all."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from fluxbase_cli.engine.events import BatchDone, Event
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.prepare.prepare import prepare
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.run.job_run import JobRun
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.plans.differences import allowed_change
from fluxbase_cli.store.records import JobKind
from tests.fixtures.fluxbase import FEW, KEYS, SECRETS, STRANGER, Fluxbase, ring_of
from tests.fixtures.further import SecondaryDatabase
from tests.fixtures.in_process import InProcess
from tests.fixtures.planning import apply, forge, planned, under_old_key

_SCHEMA = Path(__file__).parents[2] / "docs" / "operators" / "plan.schema.json"


def test_a_plan_says_all_that_would_be_done_and_nothing_is_written(flux: Fluxbase, planner: InProcess) -> None:
    before, relations = flux.places(), flux.relations()
    document = planned(planner, "--accept-undecryptable", "--max-rate", "500")
    assert (flux.places(), flux.relations()) == (before, relations)
    schema = json.loads(_SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(document)
    assert (document["kind"], document["from_version"], document["to_version"]) == ("re-encrypt", 1, 2)
    assert [key["version"] for key in document["keys"]] == [1, 2]
    locations = {each["location"]: each for each in document["databases"][0]["locations"]}
    assert (locations[SECRETS]["values"], locations[SECRETS]["re_encrypted"]) == (20, 20)
    assert (document["options"]["accept_undecryptable"], document["options"]["max_rate"]) == (True, 500)
    assert document["database"]["system_identifier"].isdigit()
    assert list(planner.directory.iterdir()) == [planner.directory / "plan.json"]


def test_a_plan_is_readable_for_its_owner_only_and_has_no_secret(flux: Fluxbase, planner: InProcess) -> None:
    old = planner.write("plan.json", "an old plan")
    old.chmod(0o644)
    planned(planner)
    text = old.read_text()
    assert stat.S_IMODE(old.stat().st_mode) == 0o600
    secrets = [key.hex() for key in KEYS.values()] + [sealed for sealed, _ in flux.stored().values()]
    password = flux.url.partition("://")[2].partition("@")[0].partition(":")[2]
    assert [secret for secret in [*secrets, password] if secret in text] == []


def test_a_plan_is_run_as_it_stands_and_only_once(flux: Fluxbase, planner: InProcess) -> None:
    digest = planned(planner)["digest"]
    checked = apply(planner, "--dry-run")
    assert (checked.code, under_old_key(flux)) == (ExitCode.DONE, 20)
    done = apply(planner, "-o", "json")
    assert (done.code, done.json["updated"], under_old_key(flux)) == (ExitCode.DONE, 20, 0)
    event = flux.value("SELECT detail FROM fluxbase_rotation.event WHERE what = 'started'")
    assert event["plan"] == digest
    again = apply(planner, "-o", "json")
    assert again.code == ExitCode.CHECK_SAYS_NO
    assert (again.json["state"], again.json["plan"]["digest"]) == ("refused", digest)
    assert [each["what"] for each in again.json["differences"]] == ["completed jobs of this plan"]


def test_an_interrupted_run_of_a_plan_is_resumed_by_the_same_command(flux: Fluxbase, planner: InProcess) -> None:
    digest, stop = planned(planner)["digest"], Stop()

    class StopsAfterABatch:
        def notify(self, event: Event) -> None:
            if isinstance(event, BatchDone):
                stop.request()

    request = JobRequest(JobKind.RE_ENCRYPT, Goal(2, source=1), limits=FEW, workers=1, plan=digest)
    prepared = prepare(flux.database, ring_of(KEYS), request)
    JobRun(flux.database, ring_of(KEYS), prepared, stop=stop, observer=StopsAfterABatch()).run()
    assert 0 < under_old_key(flux) < 20
    outcome = apply(planner)
    assert (outcome.code, under_old_key(flux)) == (ExitCode.DONE, 0), outcome.all
    assert "Resuming job 1" in outcome.stderr


def _host(plan: dict[str, Any]) -> None:
    plan["database"]["host"] = "db.example.com"


def _oid(plan: dict[str, Any]) -> None:
    plan["database"]["oid"] += 1


def _cluster(plan: dict[str, Any]) -> None:
    plan["database"]["system_identifier"] = "1"


def _name(plan: dict[str, Any]) -> None:
    plan["database"]["database"] = "other"


def _key(plan: dict[str, Any]) -> None:
    plan["keys"][0]["fingerprint"] = "0" * 16


def _more_keys(plan: dict[str, Any]) -> None:
    plan["keys"].append({"version": 3, "fingerprint": "3" * 16})


def _fewer_keys(plan: dict[str, Any]) -> None:
    del plan["keys"][0]


def _expired(plan: dict[str, Any]) -> None:
    plan["created_at"], plan["expires_at"] = "2020-01-01T00:00:00+00:00", "2020-01-02T00:00:00+00:00"


def _clock(plan: dict[str, Any]) -> None:
    plan["created_at"] = "2999-01-01T00:00:00+00:00"
    plan["expires_at"] = "2999-01-02T00:00:00+00:00"


def _locations(plan: dict[str, Any]) -> None:
    plan["catalogue"] = "0" * 16


def _location(plan: dict[str, Any]) -> None:
    plan["databases"][0]["locations"] = plan["databases"][0]["locations"][1:]


def _values(plan: dict[str, Any]) -> None:
    plan["databases"][0]["locations"][0]["values"] = 500


def _branch(plan: dict[str, Any]) -> None:
    plan["databases"].append({"database": "branch_x", "kind": "branch", "locations": []})


_CHANGES: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (_host, "host: planned db.example.com, found 127.0.0.1"),
    (_name, "database: planned other, found fluxbase"),
    (_oid, "the database's oid (was it made again?): planned"),
    (_cluster, "the cluster's system identifier (is it a copy?): planned 1, found"),
    (_key, "key version 1: planned fingerprint 0000000000000000, found fingerprint"),
    (_more_keys, "key version 3: planned fingerprint 3333333333333333, found none"),
    (_fewer_keys, "key version 1: planned none, found fingerprint"),
    (_expired, "the time: planned valid until 2020-01-02 00:00:00+00:00, found"),
    (_clock, "the server's clock: planned made at 2999-01-01 00:00:00+00:00, found"),
    (
        _locations,
        "the locations (the file of --locations, or those of this version): planned 0000000000000000, found",
    ),
    (_location, "functions.secrets.encrypted_value: planned no location, found a location"),
    (
        _values,
        "the values in functions.secrets.encrypted_value: planned 500 (a change by 100 is allowed), found 20",
    ),
    (_branch, "branch database branch_x: planned included, found not there"),
]


def test_each_thing_that_differs_refuses_the_plan_with_one_line(flux: Fluxbase, planner: InProcess) -> None:
    planned(planner)
    text = (planner.directory / "plan.json").read_text()
    for change, line in _CHANGES:
        document = json.loads(text)
        change(document)
        forge(planner, document)
        outcome = apply(planner)
        assert outcome.code == ExitCode.CHECK_SAYS_NO, outcome.all
        title, *differences = outcome.stdout.splitlines()
        assert title == "✗ plan.json is refused: 1 thing is not as planned. Nothing was written"
        assert len(differences) == 1
        assert differences[0].startswith(f"  {line}")
    assert (under_old_key(flux), flux.rows("SELECT to_regnamespace('fluxbase_rotation')::text")) == (20, [(None,)])


def test_an_unreadable_system_identifier_leaves_the_question_open(planner: InProcess) -> None:
    document = planned(planner)
    document["database"]["system_identifier"] = None
    forge(planner, document)
    assert apply(planner).code == ExitCode.DONE


def test_another_key_under_the_same_version_is_named_before_anything_is_opened(
    flux: Fluxbase, planner: InProcess
) -> None:
    planned(planner)
    outcome = apply(planner.having(FLUXBASE_SECRET_KEY_1=STRANGER.hex()), "-o", "json")
    assert outcome.code == ExitCode.CHECK_SAYS_NO, outcome.all
    assert [each["what"] for each in outcome.json["differences"]] == ["key version 1"]
    assert under_old_key(flux) == 20


@pytest.mark.parametrize(("more", "code"), [(100, ExitCode.DONE), (101, ExitCode.CHECK_SAYS_NO)])
def test_a_server_may_write_some_values_meanwhile_but_not_many(
    flux: Fluxbase, planner: InProcess, more: int, code: ExitCode
) -> None:
    planned(planner)
    flux.secrets(more)
    assert apply(planner).code == code
    assert under_old_key(flux) == (0 if code == ExitCode.DONE else 20 + more)


def test_a_large_location_may_change_by_a_tenth() -> None:
    assert [allowed_change(values) for values in (0, 1_000, 1_001, 20_000)] == [100, 100, 100, 2_000]


def test_another_job_since_the_plan_refuses_it(flux: Fluxbase, planner: InProcess) -> None:
    """Somebody has gone back to the old key in an emergency. The apply step of CI must not undo that."""
    flux.run()
    planned(planner)
    flux.run(source=None, target=1, kind=JobKind.ROLLBACK, reason="the new key has leaked")
    outcome = apply(planner)
    assert outcome.code == ExitCode.CHECK_SAYS_NO
    assert "jobs since the plan was made: planned none, found job 2 (rollback, any version to 1" in outcome.stdout
    assert under_old_key(flux) == 20


def test_several_databases_are_planned_and_a_new_one_refuses_the_plan(
    flux: Fluxbase, further: SecondaryDatabase, planner: InProcess
) -> None:
    branch = further.branch("one")
    document = planned(planner, "--databases", "all")
    assert {(each["database"], each["kind"]) for each in document["databases"]} == {
        (further.main, "main"),
        (branch, "branch"),
    }
    new = further.branch("two")
    refused = apply(planner)
    assert refused.code == ExitCode.CHECK_SAYS_NO
    assert f"  branch database {new}: planned not there, found included" in refused.stdout.splitlines()
    further.rows(None, f"DROP DATABASE {new}")
    done = apply(planner, "-o", "json")
    assert (done.code, done.json["updated"]) == (ExitCode.DONE, 40), done.all
    assert apply(planner).code == ExitCode.CHECK_SAYS_NO


def test_a_rollback_can_be_planned_too(flux: Fluxbase, planner: InProcess) -> None:
    flux.run()
    back = (
        "secrets",
        "rollback",
        "--to-version",
        "1",
        "--reason",
        "it leaked",
        "--allow-unusable-key",
        "--allow-weak-key",
    )
    assert planner(*back, "--plan-out", "plan.json").code == ExitCode.DONE
    wrong = apply(planner)
    assert wrong.code == ExitCode.USAGE
    assert "this is the plan of another command" in wrong.stderr
    done = planner("secrets", "rollback", "--plan", "plan.json", "-o", "json")
    assert (done.code, done.json["reason"], under_old_key(flux)) == (ExitCode.DONE, "it leaked", 20), done.all
