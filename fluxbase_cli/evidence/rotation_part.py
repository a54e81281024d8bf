"""The part of a report that is about a rotation: its steps, its jobs, and how long the server was away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fluxbase_cli.evidence.moments import seconds_between, utc, utc_or_none
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.evidence import EvidenceStore
from fluxbase_cli.store.rotations import RotationRecord, RotationStep, RotationStore, StepRecord

#: The results of steps that say what was found or done. The rest is for the program.
_SHOWN = ("by_version", "undecryptable", "values", "job", "re_encrypted", "fingerprint", "source", "seconds", "why")


def rotation_part(connection: Connection, rotation: RotationRecord) -> dict[str, Any]:
    """Everything that the progress tables have about a rotation."""
    store = EvidenceStore(connection)
    steps = RotationStore(connection).steps(rotation.id)
    return {
        "rotation": rotation.id,
        "state": rotation.state.value,
        "from_version": rotation.from_version,
        "to_version": rotation.to_version,
        "forced": rotation.forced,
        "due_at": utc_or_none(rotation.due_at),
        "why": store.why(rotation.id) or _why(rotation),
        "started_at": utc(rotation.started_at),
        "finished_at": utc_or_none(rotation.finished_at),
        "elapsed_seconds": seconds_between(rotation.started_at, rotation.finished_at),
        "error": rotation.error,
        "jobs": list(store.jobs_of(rotation.id)),
        "steps": [_step(each) for each in steps.values()],
        "server": _server(steps),
        "retired": [
            {
                "version": each.version,
                "fingerprint": each.fingerprint,
                "action": each.action.value,
                "started_at": utc(each.started_at),
                "finished_at": utc_or_none(each.finished_at),
            }
            for each in store.retirements(rotation.id)
        ],
    }


def _why(rotation: RotationRecord) -> str | None:
    """Why a rotation was begun, where no notification says it: without a webhook there is none."""
    if rotation.forced:
        return "--force was given"
    return None if rotation.due_at is None else f"it was due on {utc(rotation.due_at)}"


def _step(record: StepRecord) -> dict[str, Any]:
    return {
        "step": record.step.value,
        "started_at": utc(record.started_at),
        "finished_at": utc_or_none(record.finished_at),
        "result": {name: _counted(record.detail[name]) for name in _SHOWN if name in record.detail},
    }


def _counted(value: Any) -> Any:  # noqa: ANN401  # JSON
    """A list of values is told by its length: where they are is in the job's own list."""
    return len(value) if isinstance(value, list) else value


def _server(steps: Mapping[RotationStep, StepRecord]) -> dict[str, Any] | None:
    """How long the server was away; None if the rotation does not stop it."""
    stop, start, back = (steps.get(each) for each in (RotationStep.STOP, RotationStep.START, RotationStep.RETURN))
    if stop is None and RotationStep.CHECK not in steps:
        return None
    return {
        "stopped_at": None if stop is None else utc(stop.started_at),
        "healthy_at": _first(utc_or_none(each.finished_at) for each in _records(back, start)),
        "away_seconds": _first(each.detail.get("away_seconds") for each in _records(back, start)),
        "stop_seconds": None if stop is None else stop.detail.get("seconds"),
        "start_seconds": None if start is None else start.detail.get("seconds"),
        "went_back_because": None if back is None else back.detail.get("why"),
    }


def _records(*records: StepRecord | None) -> Sequence[StepRecord]:
    return [each for each in records if each is not None]


def _first(values: Iterable[Any]) -> Any:  # noqa: ANN401  # JSON
    return next((each for each in values if each is not None), None)
