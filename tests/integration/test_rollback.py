"""A rollback proves that it is possible before it writes anything."""

from __future__ import annotations

from typing import Any

import pytest

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.events import BatchStep, Message
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.prepare.prepare import prepare
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.errors import ConfigurationError, ExitCode, WrongKeyError
from fluxbase_cli.store.records import JobKind
from tests.fixtures.fluxbase import KEYS, NEW, OLD, STRANGER, Fluxbase, Watching, ring_of, seal
from tests.integration.test_jobs import stop_after, versions

_BACK: dict[str, Any] = {"source": None, "target": 1, "kind": JobKind.ROLLBACK, "reason": "why"}


def _prepare(flux: Fluxbase, watching: Watching, **options: Any) -> Counts | None:
    request = JobRequest(JobKind.ROLLBACK, Goal(1), reason="why", **options)
    return prepare(flux.database, ring_of(KEYS), request, watching).dry_count


def test_everything_is_opened_and_counted_before_the_first_write(flux: Fluxbase) -> None:
    flux.secrets(7, NEW)
    flux.secrets(2, OLD)
    bad = [flux.secret(seal(STRANGER, "x")) for _ in range(3)]
    places, relations = flux.places(), flux.relations()
    watching = Watching()

    counts = _prepare(flux, watching)

    assert counts == Counts(scanned=12, re_encrypted=7, already_current=2, undecryptable=3)
    messages = [(event.message, event.warning) for event in watching.events if isinstance(event, Message)]
    assert messages == [
        ("Scanned 12 secrets. Would re-encrypt 7 secrets to version 1 (already using it: 2)", False),
        ("3 secrets open under no key and would stay as they are", True),
    ]
    assert not any(isinstance(event, BatchStep) for event in watching.events)
    assert (flux.places(), flux.relations()) == (places, relations)

    report = flux.run(**_BACK)

    assert (report.exit_code, report.total.re_encrypted) == (ExitCode.UNDECRYPTABLE_LEFT, counts.re_encrypted)
    assert {entry.id for entry in report.quarantine} == set(bad)


def test_a_resumed_rollback_does_not_count_again(flux: Fluxbase) -> None:
    flux.secrets(12, NEW)
    stop_after(flux, 2, **_BACK)
    assert _prepare(flux, Watching()) is None


def test_a_rollback_with_a_missing_or_different_key_is_refused_before_anything_is_written(flux: Fluxbase) -> None:
    flux.secrets(12, NEW)
    places, relations = flux.places(), flux.relations()
    with pytest.raises(ConfigurationError, match="version 1"):
        flux.run(keys={2: NEW}, **_BACK)
    with pytest.raises(WrongKeyError):
        flux.run(keys={1: OLD, 2: STRANGER}, **_BACK)
    assert (flux.places(), flux.relations()) == (places, relations)


def test_a_rotation_and_its_rollback_work_twice_with_edits_in_between(flux: Fluxbase) -> None:
    rows = flux.secrets(10)
    flux.run()
    flux.rows("UPDATE functions.secrets SET encrypted_value = %s WHERE id = %s", seal(NEW, "edited"), rows[0])
    flux.rows("DELETE FROM functions.secrets WHERE id = %s", rows[1])
    added = flux.secret(seal(NEW, "added"))
    first = flux.run(**_BACK)
    again = flux.run(**_BACK)
    assert (first.total.updated, again.total) == (10, Counts(scanned=10, already_current=10))
    flux.run()
    back = flux.run(**_BACK)
    assert back.state == "completed"
    assert versions(flux) == [1] * 10
    texts = {spot.id: each.text for spot, each in flux.everything().items()}
    assert (texts[rows[0]], texts[added]) == (b"edited", b"added")
