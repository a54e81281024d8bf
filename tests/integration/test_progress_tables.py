"""The progress tables of an earlier version can be read as they are, and the next job updates them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxbase_cli.engine.observe.status import job_details, recent_jobs
from fluxbase_cli.errors import PreflightRefusedError
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.records import JobState
from fluxbase_cli.store.schema import latest_version
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
    old_tables.rows("DROP SCHEMA fluxbase_rotation CASCADE")
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

    assert "CREATE SCHEMA" not in (caught.value.hint or "")
    script = (caught.value.hint or "").partition("\n\n")[2]
    old_tables.rows(script)
    old_tables.rows(f"GRANT ALL ON ALL TABLES IN SCHEMA fluxbase_rotation TO {role.name}")
    assert old_tables.run(database=role.database).state == "completed"


def test_tables_of_a_later_version_are_not_changed(flux: Fluxbase) -> None:
    flux.secrets(1)
    assert flux.run().state == "completed"
    flux.rows("COMMENT ON SCHEMA fluxbase_rotation IS 'fluxbase-cli: progress of key rotations, version 99'")

    assert flux.run().state == "completed"
    assert flux.value("SELECT obj_description('fluxbase_rotation'::regnamespace)").endswith("version 99")
