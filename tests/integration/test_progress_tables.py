"""The progress tables of an earlier version can be read as they are, and the next job updates them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from fluxbase_cli.engine.observe.status import job_details, recent_jobs
from fluxbase_cli.errors import PreflightRefusedError
from fluxbase_cli.keys.history import read_history
from fluxbase_cli.store.connection import connect
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.records import JobState
from fluxbase_cli.store.schema import latest_version, migrations
from tests.fixtures.fluxbase import Fluxbase, Role

_FIRST_RELEASE = Path(__file__).parents[1] / "data" / "schema-0.1.0.sql"
_JOB = (
    "INSERT INTO fluxbase_rotation.job"
    " (kind, state, to_version, fingerprints, catalogue, began, horizon, storage)"
    " VALUES ('re-encrypt', 'completed', 2, '{}', '', '3', '3', '{}')"
)


@pytest.fixture
def old_tables(flux: Fluxbase) -> Fluxbase:
    """A database on which version 0.1.0 has run a job."""
    flux.rows(_FIRST_RELEASE.read_text())
    flux.rows(_JOB)
    return flux


def _columns(flux: Fluxbase) -> list[tuple[object, ...]]:
    return flux.rows(
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns"
        " WHERE table_schema = 'fluxbase_rotation' ORDER BY 1, 2"
    )


def test_tables_of_the_first_release_are_shown_as_they_are(old_tables: Fluxbase) -> None:
    columns = _columns(old_tables)

    assert [summary.job.state for summary in recent_jobs(old_tables.database)] == [JobState.COMPLETED]
    assert job_details(old_tables.database, 1).summary.job.id == 1
    assert _columns(old_tables) == columns


def test_the_next_job_updates_them_and_keeps_their_contents(old_tables: Fluxbase) -> None:
    old_tables.secrets(3)

    report = old_tables.run()

    assert (report.job, report.state) == (2, "completed")
    assert [summary.job.id for summary in recent_jobs(old_tables.database)] == [2, 1]
    upgraded = _columns(old_tables)
    old_tables.rows("DROP SCHEMA fluxbase_rotation, fluxbase_keys CASCADE")
    with old_tables.connect() as connection:
        JobStore(connection).schema.ensure()
    assert upgraded == _columns(old_tables)
    assert old_tables.value("SELECT obj_description('fluxbase_rotation'::regnamespace)").endswith(
        f"version {latest_version()}"
    )


def test_a_dry_run_leaves_them_as_they_are(old_tables: Fluxbase) -> None:
    columns = _columns(old_tables)
    old_tables.secrets(3)

    assert old_tables.run(dry_run=True).total.re_encrypted == 3
    assert _columns(old_tables) == columns


def test_a_role_that_does_not_own_them_gets_the_statements_for_their_owner(old_tables: Fluxbase, role: Role) -> None:
    old_tables.secrets(3)
    old_tables.rows(f"ALTER ROLE {role.name} BYPASSRLS")
    old_tables.rows(f"GRANT service_role TO {role.name}")
    old_tables.rows(f"GRANT SET ON PARAMETER session_replication_role TO {role.name}")
    old_tables.rows(f"GRANT USAGE ON SCHEMA fluxbase_rotation TO {role.name}")
    old_tables.rows(f"GRANT ALL ON ALL TABLES IN SCHEMA fluxbase_rotation TO {role.name}")

    with pytest.raises(PreflightRefusedError, match="does not own them") as caught:
        old_tables.run(database=role.database)

    assert "CREATE SCHEMA fluxbase_rotation" not in (caught.value.hint or "")
    script = (caught.value.hint or "").partition("\n\n")[2]
    old_tables.rows(script)
    for schema in ("fluxbase_rotation", "fluxbase_keys"):
        old_tables.rows(f"GRANT USAGE ON SCHEMA {schema} TO {role.name}")
        old_tables.rows(f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role.name}")
    assert old_tables.run(database=role.database).state == "completed"


def test_tables_of_a_later_version_are_not_changed(flux: Fluxbase) -> None:
    flux.secrets(1)
    assert flux.run().state == "completed"
    flux.rows("COMMENT ON SCHEMA fluxbase_rotation IS 'fluxbase-cli: progress of key rotations, version 99'")

    assert flux.run().state == "completed"
    assert flux.value("SELECT obj_description('fluxbase_rotation'::regnamespace)").endswith("version 99")


_KEY_EVENTS = """
    INSERT INTO fluxbase_rotation.event (os_user, host, what, reason, detail) VALUES
        ('ada', 'here', 'key-created', NULL, '{"version": 2, "fingerprint": "f2", "source": "the place"}'),
        ('ada', 'here', 'started', NULL, '{"standbys": []}'),
        ('eve', 'there', 'key-disabled', 'old', '{"version": 1, "fingerprint": "f1", "keep_until": "2030-01-01"}');
"""
_WRAPPED = """
    INSERT INTO fluxbase_rotation.wrapped_key (version, provider, kms_key_id, ciphertext, fingerprint)
    VALUES (2, 'aws_kms', 'arn', 'wrapped', 'f2');
"""


def _version_7(flux: Fluxbase) -> None:
    """Leave the database as release 0.2 before the schema of keys has left it."""
    flux.rows("CREATE SCHEMA fluxbase_rotation")
    flux.rows("".join(migration.text for migration in migrations() if migration.version < 8))
    flux.rows("COMMENT ON SCHEMA fluxbase_rotation IS 'fluxbase-cli: progress of key rotations, version 7'")
    flux.rows(_KEY_EVENTS + _WRAPPED)


def test_the_history_of_keys_and_the_wrapped_keys_move_to_a_schema_of_their_own(flux: Fluxbase) -> None:
    _version_7(flux)
    before = read_history(flux.database)
    assert [(record.version, record.what.value) for record in before.records] == [
        (2, "key-created"),
        (1, "key-disabled"),
    ]
    assert [key.version for key in before.wrapped] == [2]

    with flux.connect() as connection:
        JobStore(connection).schema.ensure()

    after = read_history(flux.database)
    assert after.wrapped == before.wrapped
    for old, new in zip(before.records, after.records, strict=True):
        assert replace(old, detail={}) == replace(new, detail={})
        assert {**new.detail, "version": old.version, "fingerprint": old.fingerprint} == old.detail
    assert flux.rows("SELECT what FROM fluxbase_rotation.event") == [("started",)]
    for statement in ("UPDATE {} SET what = ''", "DELETE FROM {}", "TRUNCATE {}"):
        for table in ("fluxbase_rotation.event", "fluxbase_keys.event"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                flux.rows(statement.format(table))
    # Progress may be dropped. What is known of keys stays.
    flux.rows("DROP SCHEMA fluxbase_rotation CASCADE")
    assert read_history(flux.database) == after
    with flux.connect() as connection:
        JobStore(connection).schema.ensure()
    assert read_history(flux.database) == after
    assert "loses keys" in flux.value("SELECT obj_description('fluxbase_keys'::regnamespace)")


def test_a_restored_old_table_of_wrapped_keys_does_not_replace_another_key(flux: Fluxbase) -> None:
    """Somebody restores the progress tables of last year into a database that has newer keys."""
    with flux.connect() as connection:
        JobStore(connection).schema.ensure()
        flux.rows("DROP SCHEMA fluxbase_rotation CASCADE")
        flux.rows(
            "INSERT INTO fluxbase_keys.wrapped_key (version, provider, kms_key_id, ciphertext, fingerprint)"
            " VALUES (2, 'aws_kms', 'arn', 'newer', 'other')"
        )
        _version_7(flux)

        with pytest.raises(psycopg.errors.UniqueViolation, match="hold different keys"):
            JobStore(connection).schema.ensure()

        assert flux.value("SELECT fingerprint FROM fluxbase_keys.wrapped_key") == "other"
        assert flux.value("SELECT fingerprint FROM fluxbase_rotation.wrapped_key") == "f2"


def test_a_role_that_may_not_create_the_schema_of_keys_gets_the_statement_for_it(flux: Fluxbase, role: Role) -> None:
    """It owns the tables of the earlier version, which somebody made on its behalf."""
    flux.rows(f"CREATE SCHEMA fluxbase_rotation AUTHORIZATION {role.name}")
    with connect(role.database) as connection:
        connection.execute(
            "".join(migration.text for migration in migrations() if migration.version < 8)
            .replace("CREATE SCHEMA IF NOT EXISTS fluxbase_rotation;", "")
            .encode()
        )
        connection.execute("COMMENT ON SCHEMA fluxbase_rotation IS 'version 7'")
        with pytest.raises(PreflightRefusedError, match="may not create the schema fluxbase_keys") as caught:
            JobStore(connection).schema.ensure()
        statement = next(line for line in (caught.value.hint or "").splitlines() if "CREATE SCHEMA" in line)
        assert statement.split()[2] == "fluxbase_keys"
        flux.rows(statement)
        JobStore(connection).schema.ensure()
        assert JobStore(connection).schema.version() == latest_version()
