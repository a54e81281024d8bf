"""The records of a rotation's steps are stored as JSON and read again, also those of other releases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from fluxbase_cli.rotation.step_records import (
    ActivateStep,
    AnyStep,
    AuditStep,
    CheckStep,
    InstallStep,
    KeyStep,
    ReEncryptStep,
    ReloadStep,
    RetentionStep,
    ReturnStep,
    StartStep,
    StopStep,
    detail_of,
    record_of,
)
from fluxbase_cli.store.rotations import RotationStep

_VALUE = {"location": "functions.secrets.encrypted_value", "id": "1", "path": ["a"], "reason": "damaged"}


@pytest.mark.parametrize(
    ("step", "record", "detail"),
    [
        (RotationStep.CHECK, CheckStep(1000, 2), {"values": 1000, "undecryptable": 2}),
        (
            RotationStep.KEY,
            KeyStep("aa", "vault", "Vault: x", {"key": "{{ vault `x` }}"}),
            {"fingerprint": "aa", "provider": "vault", "source": "Vault: x", "setting": {"key": "{{ vault `x` }}"}},
        ),
        (RotationStep.ACTIVATE, ActivateStep("by hand"), {"how": "by hand"}),
        (RotationStep.RELOAD, ReloadStep(None), {"command": None}),
        (RotationStep.RELOAD, ReloadStep("sh", 1.5), {"command": "sh", "seconds": 1.5}),
        (RotationStep.STOP, StopStep(0.25), {"seconds": 0.25}),
        (RotationStep.RE_ENCRYPT, ReEncryptStep(None), {"job": None}),
        (
            RotationStep.RE_ENCRYPT,
            ReEncryptStep(3, 850, 1200.5),
            {"job": 3, "re_encrypted": 850, "rate_per_second": 1200.5},
        ),
        (
            RotationStep.AUDIT,
            AuditStep({1: 0, 2: 850}, 1, (_VALUE,)),
            {"by_version": {"1": 0, "2": 850}, "undecryptable": 1, "values": [_VALUE]},
        ),
        (RotationStep.INSTALL, InstallStep("aa"), {"fingerprint": "aa"}),
        (RotationStep.START, StartStep(2.0, 3.5), {"seconds": 2.0, "away_seconds": 3.5}),
        (RotationStep.PROVE, AuditStep({2: 1}, 0), {"by_version": {"2": 1}, "undecryptable": 0, "values": []}),
        (RotationStep.RETENTION, RetentionStep((1, 2)), {"versions": [1, 2]}),
        (RotationStep.RETURN, ReturnStep("why", None), {"why": "why", "away_seconds": None}),
    ],
)
def test_a_record_is_stored_and_read_again(step: RotationStep, record: AnyStep, detail: Mapping[str, Any]) -> None:
    stored = json.loads(json.dumps(detail_of(record)))
    assert stored == detail
    assert record_of(step, stored) == record
    assert record_of(step, {**stored, "added_by_a_later_release": 1}) == record


def test_times_have_milliseconds() -> None:
    assert detail_of(StartStep(1.23456, 9.87654)) == {"seconds": 1.235, "away_seconds": 9.877}
