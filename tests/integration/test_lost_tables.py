"""Tables that are gone when a job is resumed: without this check, the job would be called completed."""

from __future__ import annotations

from typing import Any

import pytest

from fluxbase_cli.engine.events import NullObserver, Step
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.prepare.prepare import prepare
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.run.job_run import JobRun
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.store.records import JobKind
from tests.fixtures.fluxbase import FEW, KEYS, OLD, Fluxbase, Watching, ring_of, seal

_TABLE = "branching.github_config"


@pytest.fixture
def two_tables(flux: Fluxbase) -> Fluxbase:
    """Values in two tables. A server can exist without one of them."""
    flux.secrets(12)
    for number in range(4):
        flux.github(seal(OLD, f"hook {number}"))
    flux.close()
    return flux


def take_away(flux: Fluxbase) -> None:
    flux.rows(f"ALTER TABLE {_TABLE} RENAME TO elsewhere")


def bring_back(flux: Fluxbase) -> None:
    flux.rows("ALTER TABLE branching.elsewhere RENAME TO github_config")


def interrupt(flux: Fluxbase, **request: Any) -> int:
    """A job that has done one batch. Return its number."""
    stop = Stop()
    report = flux.run(observer=Watching(Step.COMMITTED, lambda: stop.request(15)), stop=stop, **request)
    assert report.state == "interrupted"
    assert report.job is not None
    return report.job


def old_values(flux: Fluxbase) -> int:
    return sum(1 in each.versions for each in flux.everything().values())


def test_a_job_whose_table_is_gone_is_not_resumed(two_tables: Fluxbase) -> None:
    job = interrupt(two_tables)
    left = old_values(two_tables)
    take_away(two_tables)

    with pytest.raises(ConfigurationError, match=rf"job {job} was begun with tables that are gone: {_TABLE}"):
        two_tables.run()

    bring_back(two_tables)
    assert old_values(two_tables) == left
    assert two_tables.value("SELECT state FROM fluxbase_rotation.job") == "interrupted"
    report = two_tables.run()
    assert (report.job, report.state, old_values(two_tables)) == (job, "completed", 0)


def test_a_job_that_began_while_this_process_prepared_is_not_joined_without_its_tables(two_tables: Fluxbase) -> None:
    """Two processes of one run: one looked while a table was away, the other began the job when the table was there."""
    ring = ring_of(KEYS)
    request = JobRequest(JobKind.RE_ENCRYPT, Goal(2, source=1), limits=FEW, workers=1, run_name="nightly")
    take_away(two_tables)
    prepared = prepare(two_tables.database, ring, request)
    bring_back(two_tables)
    job = interrupt(two_tables, run_name="nightly")
    left = old_values(two_tables)

    with pytest.raises(ConfigurationError, match=rf"job {job} was begun with tables that are gone: {_TABLE}"):
        JobRun(two_tables.database, ring, prepared, stop=Stop(), observer=NullObserver()).run()

    assert old_values(two_tables) == left
    report = two_tables.run(run_name="nightly")
    assert (report.job, report.state, old_values(two_tables)) == (job, "completed", 0)


def test_a_job_that_is_begun_again_does_the_other_tables_and_names_the_missing_one(two_tables: Fluxbase) -> None:
    interrupt(two_tables)
    take_away(two_tables)

    report = two_tables.run(restart=True)
    assert (report.state, report.remaining, len(report.unexamined)) == ("failed", 0, 1)
