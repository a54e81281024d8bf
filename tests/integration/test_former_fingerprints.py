"""Fingerprints of text keys that earlier releases recorded are recognised, and replaced where the key is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxbase_cli.config import Settings, load_settings
from fluxbase_cli.engine.databases import DatabasesRun, prepare_databases
from fluxbase_cli.engine.events import NullObserver
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keys.destroy import Destruction
from fluxbase_cli.keys.destroy_request import DestroyOutcome, DestroyRequest
from fluxbase_cli.keys.history import KeyState, read_history
from fluxbase_cli.keys.inventory import list_keys
from fluxbase_cli.keys.loader import open_keyring, refuse_as_target
from fluxbase_cli.keys.target_check import target_check
from fluxbase_cli.seal import fingerprint, former_fingerprint
from fluxbase_cli.store.databases import Databases
from fluxbase_cli.store.key_records import KeyEvent, KeyRecords
from fluxbase_cli.store.limits import DEFAULT_LIMITS
from fluxbase_cli.store.records import JobKind
from fluxbase_cli.store.schema import Schema
from tests.fixtures.fluxbase import NEW, Fluxbase

CHOSEN = b"CHANGEME-exactly-32-bytes-random"
FORMER = former_fingerprint(CHOSEN)


@pytest.fixture
def settings(flux: Fluxbase, tmp_path: Path) -> Settings:
    """Version 1 is a key that a person chose."""
    environ = {
        "FLUXBASE_SECRET_KEY_1": CHOSEN.decode(),
        "FLUXBASE_SECRET_KEY_2": NEW.hex(),
        "FLUXBASE_DATABASE_URL": flux.url,
    }
    return load_settings(directory=tmp_path, environ=environ, system_directory=tmp_path / "etc")


@pytest.fixture
def recorded(flux: Fluxbase) -> Fluxbase:
    """A database in which an earlier release has recorded the chosen key: disabled, pinned, and in a job."""
    with flux.connect() as connection, connection.transaction():
        Schema(connection).ensure()
        records = KeyRecords(connection)
        records.add(KeyEvent.DISABLED, 1, FORMER)
        records.pin(1, FORMER)
        connection.execute(
            "INSERT INTO fluxbase_rotation.job"
            " (kind, state, to_version, fingerprints, catalogue, began, horizon, storage)"
            f" VALUES ('re-encrypt', 'completed', 2, '{{\"1\": \"{FORMER}\"}}', '', '3', '3', '{{}}')".encode()
        )
        connection.execute(
            "INSERT INTO fluxbase_rotation.rotation_notice (id, kind, at, message, detail) VALUES"
            f" (gen_random_uuid(), 'x', now(), 'Key 1 ({FORMER})', '{{\"fingerprint\": \"{FORMER}\"}}')".encode()
        )
    return flux


def destroy(settings: Settings, **options: object) -> DestroyOutcome:
    request = DestroyRequest(1, DEFAULT_LIMITS, **options)  # type: ignore[arg-type]
    return Destruction(settings, {}, request, stop=Stop(), observer=NullObserver(), warn=lambda _text: None).run()


def everywhere(flux: Fluxbase) -> str:
    tables = flux.rows("SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname LIKE 'fluxbase_%%'")
    return "\n".join(str(flux.rows(f"SELECT t::text FROM {table} AS t")) for (table,) in tables)


def test_a_key_is_known_by_its_former_fingerprint(recorded: Fluxbase, settings: Settings) -> None:
    assert open_keyring(settings, {}, warn=pytest.fail).versions == (2, 1)
    first = list_keys(settings, {}, warn=pytest.fail).keys[0]
    assert (first.version, first.state, first.fingerprint) == (1, KeyState.DISABLED, fingerprint(CHOSEN))
    with pytest.raises(ConfigurationError, match="is disabled"):
        refuse_as_target(read_history(recorded.database), open_keyring(settings, {}, warn=pytest.fail).key(1))
    # Reading changes nothing.
    assert FORMER in everywhere(recorded)


def test_the_next_job_replaces_it_everywhere(recorded: Fluxbase, settings: Settings) -> None:
    keyring = open_keyring(settings, {}, warn=pytest.fail)
    request = JobRequest(JobKind.RE_ENCRYPT, Goal(2), limits=DEFAULT_LIMITS, workers=1)
    targets = prepare_databases(settings.database, keyring, request, Databases.MAIN, NullObserver())
    check = target_check(settings, {}, keyring, 2, warn=pytest.fail)
    run = DatabasesRun(keyring, targets, request, stop=Stop(), observer=NullObserver(), before_begin=check)

    assert run.run().together.state == "completed"

    assert FORMER not in everywhere(recorded)
    assert f"Key 1 ({fingerprint(CHOSEN)})" in everywhere(recorded)
    assert read_history(recorded.database).state(1, fingerprint(CHOSEN)) is KeyState.DISABLED


@pytest.mark.parametrize("confirm", [FORMER, fingerprint(CHOSEN)])
def test_a_fingerprint_of_an_older_ticket_confirms_a_destruction(
    recorded: Fluxbase, settings: Settings, confirm: str
) -> None:
    assert any("--confirm does not name this key" in text for text in destroy(settings, confirm="0" * 16).refusals)

    outcome = destroy(settings, confirm=confirm, now=True)

    assert (outcome.state, outcome.refusals) == (KeyState.DESTROYED, ())
    assert outcome.fingerprint == fingerprint(CHOSEN)
    assert FORMER not in everywhere(recorded)
