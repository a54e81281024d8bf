"""The estimate from a trial run that is rolled back, the cost of the real run, and what to vacuum."""

from __future__ import annotations

import time

import psycopg
import pytest

from fluxbase_cli.engine.cost import FEW_ROWS
from fluxbase_cli.engine.observe import vacuum
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.engine.run import job_run as job_module
from fluxbase_cli.report.costs import cost_lines
from fluxbase_cli.store.limits import DEFAULT_LIMITS
from fluxbase_cli.store.schema import Schema
from tests.fixtures.command import until
from tests.fixtures.fluxbase import OLD, Fluxbase, Role, Watching, seal

_SECRETS = 6_000
_SCHEMAS = "functions, app, platform, auth, branching"


@pytest.fixture
def large(flux: Fluxbase) -> Fluxbase:
    """A database with just enough rows in one table for a trial run."""
    assert _SECRETS >= FEW_ROWS
    flux.rows(
        "INSERT INTO functions.secrets (id, name, encrypted_value)"
        " SELECT gen_random_uuid(), 'SECRET_' || n, %s FROM generate_series(1, %s) AS n",
        seal(OLD, "one of many"),
        _SECRETS,
    )
    flux.rows("VACUUM ANALYZE functions.secrets")
    return flux


def tried_out(flux: Fluxbase) -> JobReport:
    return flux.run(dry_run=True, workers=2, limits=DEFAULT_LIMITS)


def test_a_dry_run_gives_an_estimate_and_commits_nothing(large: Fluxbase) -> None:
    places, stored, relations = large.places(), large.stored(), large.relations()

    report = tried_out(large)

    assert report.estimate is not None
    cost = report.estimate.cost
    assert cost is not None, report.estimate.reason
    assert cost.seconds > 0.3
    size = large.value("SELECT pg_table_size('functions.secrets')")
    assert size < cost.wal_bytes < 4 * size
    assert 0.05 * size < cost.growth_bytes < 0.5 * size
    assert (cost.key_calls, cost.standbys) == (0, 0)
    # At most an eighth of the rows, each counted each time, and not many fewer.
    assert 0.08 * _SECRETS < report.estimate.rows <= _SECRETS / 8
    assert next(cost_lines(report)).startswith("Estimate: ")
    assert large.places() == places
    assert large.stored() == stored
    assert large.relations() == relations
    assert large.value("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'") == 0


def test_a_trial_run_gives_way_to_sessions_that_hold_the_rows(large: Fluxbase) -> None:
    with psycopg.connect(large.url) as blocker:
        blocker.execute("SELECT FROM functions.secrets FOR UPDATE")
        began = time.monotonic()
        report = tried_out(large)
        # Much less than our lock timeout, and without any retry.
        assert time.monotonic() - began < 15

    assert report.state == "dry-run"
    assert report.estimate is not None
    assert report.estimate.cost is None
    assert list(cost_lines(report)) == [
        "No estimate: no trial run was possible: other sessions hold the rows of the sample"
    ]


def test_a_trial_run_fires_no_trigger_and_is_left_out_if_it_would_fire_one(large: Fluxbase, role: Role) -> None:
    large.rows(
        "CREATE SEQUENCE public.fired; GRANT ALL ON SEQUENCE public.fired TO PUBLIC;"
        "CREATE FUNCTION public.fire() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN PERFORM nextval('public.fired'); RETURN NULL; END$$;"
        "CREATE TRIGGER fire AFTER UPDATE ON functions.secrets FOR EACH ROW EXECUTE FUNCTION public.fire()"
    )
    assert tried_out(large).estimate is not None
    assert large.value("SELECT is_called FROM public.fired") is False

    large.rows(f"GRANT service_role TO {role.name}")
    report = large.run(dry_run=True, database=role.database, limits=DEFAULT_LIMITS)
    assert report.estimate is not None
    assert report.estimate.reason == "triggers would fire"
    assert large.value("SELECT is_called FROM public.fired") is False


def test_a_role_that_only_reads_gets_its_dry_run_without_an_estimate(large: Fluxbase, role: Role) -> None:
    large.rows(f"ALTER ROLE {role.name} BYPASSRLS")
    large.rows(f"GRANT USAGE ON SCHEMA {_SCHEMAS} TO {role.name}")
    large.rows(f"GRANT SELECT ON ALL TABLES IN SCHEMA {_SCHEMAS} TO {role.name}")
    large.rows(f"GRANT SET ON PARAMETER session_replication_role TO {role.name}")

    report = large.run(dry_run=True, database=role.database, limits=DEFAULT_LIMITS)

    assert report.total.scanned == _SECRETS
    assert list(cost_lines(report)) == ["No estimate: no trial run was possible: permission denied for table secrets"]


def test_a_run_reports_its_cost_next_to_the_estimate(large: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "_WORTH_AN_ESTIMATE", FEW_ROWS)
    monkeypatch.setattr(vacuum, "_GROWN_BYTES", 0)
    wal = large.value("SELECT pg_current_wal_lsn()")

    report = large.run(workers=2, limits=DEFAULT_LIMITS)

    assert report.state == "completed"
    assert report.estimate is not None
    assert report.estimate.cost is not None
    assert report.measured is not None
    assert report.measured.seconds == report.elapsed_seconds
    written = large.value("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s)", wal)
    assert 0.3 * float(written) < report.measured.wal_bytes <= written
    lines = list(cost_lines(report))
    assert [line.partition(":")[0] for line in lines][:2] == ["Cost", "Estimate was"]
    assert lines[2] == "These tables would gain from VACUUM (--vacuum does it after the job):"
    assert lines[3].startswith("  functions.secrets: ")


def test_an_estimate_is_close_to_the_cost_of_its_run(large: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes depend only on the rows, not on the speed of the machine.

    On so few rows, the estimate is careful: it is twice the cost of the run, nearly to the byte each time. An estimate
    that is three times too high, or too low, is outside these limits.
    """
    monkeypatch.setattr(job_module, "_WORTH_AN_ESTIMATE", FEW_ROWS)
    large.rows("CHECKPOINT")
    dry = tried_out(large)

    report = large.run(workers=2, limits=DEFAULT_LIMITS)

    measured = report.measured
    assert measured is not None
    for estimate in (dry.estimate, report.estimate):
        assert estimate is not None
        assert estimate.cost is not None
        assert 1.0 < estimate.cost.wal_bytes / measured.wal_bytes < 4.0
        assert 1.0 < estimate.cost.growth_bytes / measured.growth_bytes < 4.0


def test_the_cost_of_a_run_is_what_was_written_during_the_run(large: Fluxbase) -> None:
    # The creation of the progress tables is not part of the cost of a run.
    with large.connect() as connection:
        Schema(connection).ensure()
    wal = large.value("SELECT pg_current_wal_lsn()")
    size = "SELECT pg_total_relation_size('functions.secrets')"
    before = large.value(size)

    report = large.run(workers=2, limits=DEFAULT_LIMITS)

    assert report.estimate is None
    assert report.measured is not None
    written = float(large.value("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s)", wal))
    # The progress tables are read before and after the run.
    assert 0.8 * written < report.measured.wal_bytes <= written
    grown = large.value(size) - before
    assert 0.5 * grown <= report.measured.growth_bytes <= 2 * grown
    assert 0.5 * report.elapsed_seconds < report.measured.seconds <= report.elapsed_seconds


def test_a_small_run_has_no_trial_run(flux: Fluxbase) -> None:
    flux.secrets(10)
    dry = flux.run(dry_run=True)
    assert dry.estimate is not None
    assert dry.estimate.reason == "there are too few rows"
    assert list(cost_lines(dry)) == []
    report = flux.run()
    assert report.estimate is None
    assert report.measured is not None
    assert list(cost_lines(report)) == []


def test_vacuum_runs_if_it_is_requested(large: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vacuum, "_GROWN_BYTES", 0)
    observer = Watching()

    report = large.run(workers=2, limits=DEFAULT_LIMITS, vacuum=True, observer=observer)

    assert "vacuuming functions.secrets…" in observer.told
    assert [gain.vacuumed for gain in report.vacuum_candidates if gain.table == "functions.secrets"] == [True]
    vacuums = "SELECT vacuum_count FROM pg_stat_user_tables WHERE relid = 'functions.secrets'::regclass"
    # The fixture ran the other vacuum.
    until(lambda: large.value(vacuums) == 2, "the server has counted it")
    assert not any("VACUUM" in line for line in cost_lines(report))


def test_without_the_right_to_vacuum_the_job_is_still_done_and_reports_it(
    large: Fluxbase, role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    large.rows(f"ALTER ROLE {role.name} BYPASSRLS")
    large.rows(f"GRANT USAGE ON SCHEMA {_SCHEMAS} TO {role.name}")
    large.rows(f"GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA {_SCHEMAS} TO {role.name}")
    large.rows(f"GRANT SET ON PARAMETER session_replication_role TO {role.name}")
    large.rows(f'GRANT CREATE ON DATABASE "{large.value("SELECT current_database()")}" TO {role.name}')
    monkeypatch.setattr(vacuum, "_GROWN_BYTES", 0)
    observer = Watching()

    report = large.run(workers=2, limits=DEFAULT_LIMITS, vacuum=True, database=role.database, observer=observer)

    assert (report.state, report.exit_code) == ("completed", 0)
    refusal = "functions.secrets can't be vacuumed by this role: ask its owner to run VACUUM functions.secrets;"
    assert refusal in observer.told
    assert not any(gain.vacuumed for gain in report.vacuum_candidates)
