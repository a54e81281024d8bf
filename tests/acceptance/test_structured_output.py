"""`-o json` and `-o yaml`: the fields and their order are a promise (docs/operators/scripting.md)."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.fixtures.command import Outcome, Rotation

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")
_ROLLBACK = ("secrets", "rollback", "--to-version", "1", "--reason", "New key compromised")
_COUNTS = [
    "scanned",
    "re_encrypted",
    "already_current",
    "updated",
    "moved",
    "plaintext",
    "undecryptable",
    "other_versions",
]
_JOB = [
    *("job", "kind", "state", "from_version", "to_version", "reason", *_COUNTS),
    *("remaining", "elapsed_seconds", "rate_per_second", "locations", "quarantine"),
    # The cost of the run.
    *("forecast", "measured", "vacuum"),
]
_AUDIT = [
    *("key_version", "found", "by_version", "plaintext", "undecryptable", "scanned"),
    *("elapsed_seconds", "locations", "quarantine", "warnings", "unexamined"),
]
_QUARANTINE = ["location", "id", "path", "reason"]


@pytest.mark.parametrize("form", ["json", "yaml"])
@pytest.mark.parametrize("arguments", [_RE_ENCRYPT, (*_RE_ENCRYPT, "--dry-run"), _ROLLBACK])
def test_a_job_has_exactly_the_promised_fields_in_their_order(
    rotation: Rotation, arguments: tuple[str, ...], form: str
) -> None:
    rotation.seed(30)

    data = _read(rotation.command(*arguments, "-o", form), form)

    assert list(data) == _JOB
    assert [list(each) for each in data["locations"]] == [["location", *_COUNTS]] * 10


def test_the_values_of_a_re_encryption(rotation: Rotation) -> None:
    report = rotation.seed(1000)

    data = rotation.command(*_RE_ENCRYPT, "-o", "json").json

    expected: dict[str, Any] = {
        "kind": "re-encrypt",
        "state": "completed",
        "from_version": 1,
        "to_version": 2,
        "reason": None,
        "scanned": 1000,
        "re_encrypted": 850,
        "already_current": 150,
        "updated": 850,
        "moved": 0,
        "plaintext": 0,
        "undecryptable": 0,
        "other_versions": 0,
        "remaining": 0,
        "quarantine": [],
    }
    assert {name: data[name] for name in expected} == expected
    assert data["job"] == rotation.value("SELECT max(id) FROM fluxbase_rotation.job")
    assert data["elapsed_seconds"] > 0
    assert data["rate_per_second"] == pytest.approx(1000 / data["elapsed_seconds"], rel=0.05)
    assert [(each["location"], each["re_encrypted"], each["already_current"]) for each in data["locations"]] == [
        (each.location, each.old, each.new) for each in report.locations
    ]


def test_the_values_of_a_dry_run(rotation: Rotation) -> None:
    rotation.seed(1000)

    data = rotation.command(*_RE_ENCRYPT, "--dry-run", "-o", "json").json

    assert (data["job"], data["state"]) == (None, "dry-run")
    assert (data["scanned"], data["re_encrypted"], data["already_current"], data["updated"]) == (1000, 850, 150, 0)
    assert data["remaining"] == 850


def test_the_values_of_a_rollback(rotation: Rotation) -> None:
    rotation.seed(1000)

    data = rotation.command(*_ROLLBACK, "-o", "json").json

    assert (data["kind"], data["state"], data["reason"]) == ("rollback", "completed", "New key compromised")
    assert (data["from_version"], data["to_version"]) == (None, 1)
    assert (data["scanned"], data["re_encrypted"], data["already_current"], data["updated"]) == (1000, 150, 850, 150)


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_an_audit_has_exactly_the_promised_fields_in_their_order(rotation: Rotation, form: str) -> None:
    rotation.seed(100)

    asked = _read(rotation.command("secrets", "audit", "--key-version", "1", "-o", form), form)
    whole = _read(rotation.command("secrets", "audit", "-o", form), form)

    assert list(asked) == list(whole) == _AUDIT
    assert (asked["key_version"], asked["found"], asked["by_version"]) == (1, 85, {"1": 85, "2": 15})
    assert (whole["key_version"], whole["scanned"], whole["by_version"]) == (None, 100, {"1": 85, "2": 15})
    assert sum(each["scanned"] for each in whole["locations"]) == 100


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_keys_list_has_exactly_the_promised_fields_in_their_order(rotation: Rotation, form: str) -> None:
    data = _read(rotation.command("keys", "list", "-o", form), form)

    assert list(data) == ["keys"]
    assert [list(key) for key in data["keys"]] == [
        ["version", "provider", "source", "fingerprint", "active", "state", "warnings"]
    ] * 2
    assert [(key["version"], key["provider"], key["active"], key["state"]) for key in data["keys"]] == [
        (1, "env", False, "enabled"),
        (2, "env", True, "enabled"),
    ]
    assert "FLUXBASE_SECRET_KEY_1" in data["keys"][0]["source"]


def test_undecryptable_values_are_listed_by_location_and_reason(rotation: Rotation) -> None:
    rotation.seed(1000)
    broken = rotation.value(
        "UPDATE functions.secrets SET encrypted_value = overlay(encrypted_value PLACING 'AAAA' FROM 9)"
        " WHERE id = (SELECT min(id::text)::uuid FROM functions.secrets) RETURNING id"
    )
    document = rotation.value(
        "UPDATE platform.instance_settings"
        " SET settings = jsonb_set(settings, '{email,smtp_password}',"
        "   to_jsonb(overlay(settings #>> '{email,smtp_password}' PLACING 'AAAA' FROM 9)))"
        " WHERE id = (SELECT id FROM platform.instance_settings LIMIT 1) RETURNING id"
    )

    outcome = rotation.command(*_RE_ENCRYPT, "-o", "json")

    assert outcome.code == 4
    assert outcome.json["state"] == "completed"
    assert outcome.json["undecryptable"] == 2
    assert [list(each) for each in outcome.json["quarantine"]] == [_QUARANTINE] * 2
    assert {(each["location"], each["id"], each["path"]) for each in outcome.json["quarantine"]} == {
        ("functions.secrets.encrypted_value", str(broken), None),
        ("platform.instance_settings.settings", str(document), "email.smtp_password"),
    }


def test_json_is_one_object_indented_by_two_spaces(rotation: Rotation) -> None:
    rotation.seed(30)

    text = rotation.command(*_RE_ENCRYPT, "-o", "json").stdout

    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"


def test_an_interrupted_run_says_so_in_json(rotation: Rotation) -> None:
    """In a state other than `completed`, the object has the same fields."""
    rotation.seed(30)
    rotation.let_writes_fail()

    outcome = rotation.command(*_RE_ENCRYPT, "-o", "json")

    assert outcome.code == 1
    assert outcome.json["state"] == "failed"
    assert outcome.json["remaining"] is None
    assert [name for name in outcome.json if name in _JOB] == _JOB


def _read(outcome: Outcome, form: str) -> Any:
    return json.loads(outcome.stdout) if form == "json" else yaml.safe_load(outcome.stdout)
