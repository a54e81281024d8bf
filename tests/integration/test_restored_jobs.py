"""Is a job that was restored from a dump recognised, and is every value opened again?"""

from __future__ import annotations

from fluxbase_cli.engine.events import Step
from fluxbase_cli.engine.stop import Stop
from tests.fixtures.command import until
from tests.fixtures.fluxbase import Fluxbase, Role, Watching
from tests.fixtures.standby import Standby

#: The numbers of the cluster, the database and the files are the same after this, as they can be after a restore. The
#: rows of our tables are written again, as by a restore.
_RESTORE = (
    "ALTER TABLE fluxbase_rotation.event DISABLE TRIGGER ALL;"
    "CREATE TEMPORARY TABLE kept AS TABLE fluxbase_rotation.event; DELETE FROM fluxbase_rotation.event;"
    "INSERT INTO fluxbase_rotation.event OVERRIDING SYSTEM VALUE TABLE kept;"
    "ALTER TABLE fluxbase_rotation.event ENABLE ALWAYS TRIGGER event_is_append_only"
)


def interrupt(flux: Fluxbase) -> int:
    stop = Stop()
    report = flux.run(observer=Watching(Step.COMMITTED, lambda: stop.request(15)), stop=stop)
    assert report.state == "interrupted"
    assert report.job is not None
    return report.job


def resumed(flux: Fluxbase) -> tuple[list[str], bool]:
    """Resume the job, and return the messages and whether everything was opened."""
    watching = Watching()
    report = flux.run(observer=watching)
    assert (report.state, flux.audit(1).found) == ("completed", 0)
    return watching.told, bool(flux.value("SELECT full_census FROM fluxbase_rotation.job WHERE id = %s", report.job))


def test_a_job_that_was_only_interrupted_believes_its_shards(flux: Fluxbase) -> None:
    flux.secrets(12)
    interrupt(flux)
    told, full = resumed(flux)
    assert not full
    assert not any("opened again" in message for message in told)


def test_a_job_whose_tables_were_restored_opens_everything(flux: Fluxbase) -> None:
    flux.secrets(12)
    interrupt(flux)
    flux.rows(_RESTORE)
    # The dump is older than what its shards say, and the xid of its batch belongs to somebody else here.
    flux.rows("UPDATE fluxbase_rotation.shard SET done = true")
    told, full = resumed(flux)
    assert full
    assert any("every value is opened again" in message for message in told)


def test_a_role_that_may_not_read_the_number_of_the_cluster_works(flux: Fluxbase, role: Role) -> None:
    flux.secrets(12)
    flux.rows("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    flux.rows(
        f"GRANT service_role TO {role.name}; GRANT SET ON PARAMETER session_replication_role TO {role.name};"
        f'GRANT CREATE ON DATABASE "{flux.value("SELECT current_database()")}" TO {role.name}'
    )
    stop = Stop()
    observer = Watching(Step.COMMITTED, lambda: stop.request(15))
    assert flux.run(database=role.database, observer=observer, stop=stop).state == "interrupted"
    watching = Watching()
    assert flux.run(database=role.database, observer=watching).state == "completed"
    assert not any("opened again" in message for message in watching.told)


def test_a_promoted_standby_opens_everything(flux: Fluxbase, standby: Standby) -> None:
    """What the primary wrote last may be missing there, also what finished shards say. Its timeline is another one."""
    flux.secrets(12)
    interrupt(flux)
    copy = Fluxbase(standby.url_of(flux.url))
    written = flux.value("SELECT pg_current_wal_lsn()::text")
    until(lambda: standby.value(f"SELECT pg_last_wal_replay_lsn() >= '{written}'"), "the standby has replayed it")
    standby.promote()
    until(lambda: standby.value("SELECT NOT pg_is_in_recovery()"), "it is a primary")
    told, full = resumed(copy)
    assert full
    assert any("every value is opened again" in message for message in told)
