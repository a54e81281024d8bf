"""What an operator sees of the proof: exit codes, lines about unexamined things, and the record of a destroy."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.fixtures.command import NEW_KEY, OLD_KEY, Rotation
from tests.fixtures.sealing import seal

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")
_AUDIT = ("secrets", "audit", "--key-version", "1", "--transaction-wait", "0.2")
_DESTROY = ("keys", "destroy", "--key-version", "1", "--transaction-wait", "0.2")
_PLACES = """\
locations:
  - table: crm.credentials
    columns: [api_key]
    key: number
"""


@pytest.fixture
def moved(rotation: Rotation) -> Rotation:
    """A database whose values are all under version 2."""
    rotation.seed(40)
    assert rotation.command(*_RE_ENCRYPT).code == 0
    return rotation


@pytest.fixture
def plugin(moved: Rotation) -> Rotation:
    """The same database with a table that no release has, and three old values in it."""
    moved.rows("CREATE SCHEMA crm; CREATE TABLE crm.credentials (number bigint PRIMARY KEY, api_key text)")
    for number in range(3):
        moved.rows("INSERT INTO crm.credentials VALUES (%s, %s)", number, seal(OLD_KEY, f"api key {number}"))
    moved.rows("INSERT INTO crm.credentials VALUES (9, 'a plaintext')")
    return moved


def test_values_in_a_table_that_is_not_listed_are_found_and_keep_the_key(plugin: Rotation) -> None:
    shallow = plugin.command(*_AUDIT)
    assert (shallow.code, shallow.stdout) == (0, "No secrets found encrypted with key version 1\n")
    deep = plugin.command(*_AUDIT, "--deep")
    assert deep.code == 3
    assert "Found 3 secrets encrypted with key version 1" in deep.stdout
    assert "crm.credentials.api_key" in deep.stdout
    refused = plugin.command(*_DESTROY)
    assert refused.code == 3
    assert "3 values open under version 1 (crm.credentials.api_key 3)" in refused.all
    assert "--locations" in refused.all


def test_with_a_file_of_locations_these_values_are_moved_and_the_key_can_be_destroyed(plugin: Rotation) -> None:
    plugin.command.write("places.yaml", _PLACES)
    report = plugin.command(*_RE_ENCRYPT, "--locations", "places.yaml", "-o", "json")
    assert (report.code, report.json["state"]) == (0, "completed")
    counts = next(each for each in report.json["locations"] if each["location"] == "crm.credentials.api_key")
    assert (counts["updated"], counts["plaintext"]) == (3, 1)
    assert plugin.value("SELECT api_key FROM crm.credentials WHERE number = 9") == "a plaintext"
    audit = plugin.command(*_AUDIT, "--deep", "--locations", "places.yaml")
    assert (audit.code, audit.stdout) == (0, "No secrets found encrypted with key version 1\n")
    back = plugin.command("secrets", "rollback", "--to-version", "1", "--reason", "r", "--locations", "places.yaml")
    assert back.code == 0
    assert plugin.command(*_AUDIT, "--deep", "--locations", "places.yaml").code == 3
    assert plugin.command(*_RE_ENCRYPT, "--locations", "places.yaml").code == 0
    assert plugin.command(*_DESTROY).code == 0


def test_what_is_excluded_on_purpose_is_reported_and_recorded_with_its_reason(plugin: Rotation) -> None:
    plugin.command.write("places.yaml", "skip:\n  - place: crm.credentials\n    reason: the plugin is gone\n")
    audit = plugin.command(*_AUDIT, "--deep", "--locations", "places.yaml")
    assert audit.code == 0
    assert "left out on purpose: crm.credentials (the plugin is gone)" in audit.stdout
    assert plugin.command(*_DESTROY, "--locations", "places.yaml", "--reason", "leaked").code == 0
    detail = json.loads(
        plugin.value("SELECT detail::text FROM fluxbase_keys.event WHERE what = 'key-disabled' ORDER BY id DESC")
    )
    (skipped,) = detail["skipped"]
    assert (skipped["what"], skipped["where"], skipped["reason"]) == ("place", "crm.credentials", "the plugin is gone")
    assert skipped["os_user"]
    assert skipped["db_user"]
    (census,) = detail["census"]
    assert census["found"] == 0
    assert census["locations"]["functions.secrets.encrypted_value"] > 0
    assert detail["lsn"]


def test_a_destroy_without_the_deep_audit_says_so_in_its_record(plugin: Rotation) -> None:
    assert plugin.command(*_DESTROY, "--skip-deep").code == 0
    what = plugin.value(
        "SELECT detail -> 'skipped' -> 0 ->> 'what' FROM fluxbase_keys.event WHERE what = 'key-disabled'"
    )
    assert what == "deep audit"


def test_an_open_transaction_keeps_the_key_and_is_named(moved: Rotation) -> None:
    with psycopg.connect(moved.url) as writer:
        writer.execute(
            "UPDATE functions.secrets SET encrypted_value = %s WHERE id = (SELECT min(id::text)::uuid "
            "FROM functions.secrets)",
            [seal(OLD_KEY, "sealed by a server that was not restarted")],
        )
        audit = moved.command(*_AUDIT)
        assert (audit.code, audit.stdout) == (
            4,
            "No secrets found encrypted with key version 1 in what could be examined\n",
        )
        pid = writer.info.backend_pid
        assert f"not examined: transaction of process {pid}" in audit.stderr
        as_json = moved.command(*_AUDIT, "-o", "json").json
        assert [(each["kind"], each["where"]) for each in as_json["unexamined"]] == [
            ("transaction", f"of process {pid}")
        ]
        refused = moved.command(*_DESTROY, "--now", "--yes", "--reason", "test")
        assert refused.code == 3
        assert f"process {pid}" in refused.all
        writer.commit()
    assert moved.command(*_AUDIT).code == 3


def test_config_check_is_not_ready_when_a_table_is_missing(moved: Rotation) -> None:
    assert "Ready." in moved.command("config", "check").stdout
    moved.rows("ALTER TABLE auth.oauth_tokens RENAME TO oauth_tokens_old")
    check = moved.command("config", "check")
    assert check.code == 2
    assert "auth.oauth_tokens" in check.stdout
    assert check.stdout.endswith("Not ready.\n")
    job = moved.command(*_RE_ENCRYPT, "-o", "json")
    assert (job.code, job.json["state"]) == (1, "failed")
    assert [each["where"] for each in job.json["unexamined"]] == ["auth.oauth_tokens"]


def test_a_table_that_is_declared_absent_is_not_reported_as_missing(moved: Rotation) -> None:
    moved.rows("DROP TABLE branching.github_config")
    assert moved.command(*_AUDIT).code == 4
    moved.command.write("places.yaml", "absent:\n  - table: branching.github_config\n    reason: never used\n")
    assert moved.command(*_AUDIT, "--locations", "places.yaml").code == 0
    assert moved.command(*_RE_ENCRYPT, "--locations", "places.yaml").code == 0


def test_a_mistake_in_the_file_of_locations_is_reported_before_anything_is_touched(rotation: Rotation) -> None:
    rotation.command.write("places.yaml", "location: []\n")
    outcome = rotation.command(*_RE_ENCRYPT, "--locations", "places.yaml")
    assert outcome.code == 2
    assert "places.yaml: unknown setting 'location'" in outcome.stderr
    assert "Did you mean `locations`?" in outcome.stderr
    assert not rotation.value("SELECT to_regnamespace('fluxbase_rotation') IS NOT NULL")


def test_no_output_contains_a_key(plugin: Rotation) -> None:
    told = plugin.command(*_AUDIT, "--deep", "-o", "json").all
    for key in (OLD_KEY, NEW_KEY):
        assert key.hex() not in told
    assert "api key 0" not in told
