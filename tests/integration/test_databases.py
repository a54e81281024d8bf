"""Branches and tenants: every database with values is processed or named, and no deleted database is mentioned."""

from __future__ import annotations

from typing import Any

import pytest

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.databases import DatabasesReport, DatabasesRun, prepare_databases
from fluxbase_cli.engine.events import NullObserver, Observer, PassStarted
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.observe import control
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.proof.proof import Proof, ProofRequest, take_proof
from fluxbase_cli.store.databases import Databases
from fluxbase_cli.store.records import JobKind
from fluxbase_cli.unexamined import UnexaminedKind
from tests.fixtures.fluxbase import FEW, KEYS, NEW, OLD, SECRETS, Fluxbase, Role, open_all, ring_of, seal
from tests.fixtures.further import SecondaryDatabase

_USERS = "auth.users"


def prove(flux: Fluxbase, database: DatabaseSettings | None = None, databases: Databases = Databases.ALL) -> Proof:
    request = ProofRequest(limits=FEW, key_version=1, databases=databases, wait_s=0.2)
    return take_proof(database or flux.database, ring_of(KEYS), request, stop=Stop(), observer=NullObserver())


def move(
    flux: Fluxbase, databases: Databases = Databases.ALL, observer: Observer | None = None, **options: Any
) -> DatabasesReport:
    request = JobRequest(JobKind.RE_ENCRYPT, Goal(2, source=1), limits=FEW, wait_s=0.2, **options)
    targets = prepare_databases(flux.database, ring_of(KEYS), request, databases, NullObserver())
    return DatabasesRun(ring_of(KEYS), targets, request, stop=Stop(), observer=observer or NullObserver()).run()


def old_values(further: SecondaryDatabase, database: str | None, column: str = SECRETS) -> int:
    """How many values of a column the independent reader opens with the old key."""
    table, _, name = column.rpartition(".")
    rows = further.rows(database, f"SELECT {name} FROM {table} WHERE {name} IS NOT NULL")
    return sum(1 in open_all(row[0], KEYS).versions for row in rows)


def versions_of_rows(further: SecondaryDatabase, database: str | None) -> list[tuple[Any, ...]]:
    return further.rows(database, "SELECT xmin::text, ctid::text, encrypted_value FROM functions.secrets ORDER BY id")


def test_all_databases_are_moved_once_under_one_job_number_and_deleted_ones_are_not_mentioned(
    flux: Fluxbase, further: SecondaryDatabase
) -> None:
    flux.secrets(5)
    flux.user(seal(OLD, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"))
    before = further.branch("before")
    local = further.tenant("local", local=(_USERS,))
    foreign = further.tenant("foreign")
    first = move(flux, Databases.MAIN)
    assert first.together.state == "completed"
    after, other = further.branch("after"), further.branch("other")
    further.rows(
        other,
        "UPDATE functions.secrets SET encrypted_value = %s WHERE id IN (SELECT id FROM functions.secrets LIMIT 1)",
        seal(OLD, "sealed by a server that was not restarted"),
    )
    for number in range(60):
        further.list_branch(f"branch_dead_{number}")
    further.list_branch(further.main)
    kept = versions_of_rows(further, after)

    found = {each.name: each.census.found for each in prove(flux).databases}
    assert found == {further.main: 0, before: 6, after: 0, other: 1, local: 1}
    report = move(flux)

    assert (report.together.state, report.together.exit_code) == ("completed", ExitCode.DONE)
    assert {each.name for each in report.databases} == {further.main, before, after, other, local}
    assert {each.report.job for each in report.databases if each.report} == {report.together.job}
    assert report.together.total.updated == 8
    for database in (None, before, after, other):
        assert old_values(further, database) == 0, database
    assert old_values(further, local, f"{_USERS}.totp_secret") == 0
    # Nothing was written twice, and nothing was written where there was nothing to do.
    assert versions_of_rows(further, after) == kept
    proof = prove(flux)
    assert (proof.together.found, proof.unexamined) == (0, ())
    assert proof.together.exit_code == ExitCode.DONE
    lines = [*proof.together.warnings, *(str(each) for each in proof.unexamined)]
    assert not any("dead" in line for line in lines)
    assert foreign not in {each.name for each in proof.databases}


def test_a_branch_that_refuses_the_connection_does_not_count_as_empty(
    flux: Fluxbase, further: SecondaryDatabase
) -> None:
    flux.secrets(2)
    branch = further.branch("closed")
    assert move(flux, Databases.MAIN).together.state == "completed"
    further.rows("postgres", f"ALTER DATABASE {branch} WITH ALLOW_CONNECTIONS false")
    proof = prove(flux)
    assert [(each.kind, each.where) for each in proof.unexamined] == [(UnexaminedKind.DATABASE, branch)]
    assert proof.together.exit_code == ExitCode.UNDECRYPTABLE_LEFT
    report = move(flux)
    assert (report.together.state, report.together.exit_code) == ("failed", ExitCode.FAILED)
    # The other databases are done anyway.
    assert [each.failed for each in report.databases] == [False, True]
    further.rows("postgres", f"ALTER DATABASE {branch} WITH ALLOW_CONNECTIONS true")
    assert move(flux).together.state == "completed"
    assert old_values(further, branch) == 0


def test_a_list_that_must_not_be_read_is_reported_and_proves_nothing(
    flux: Fluxbase, further: SecondaryDatabase, role: Role
) -> None:
    flux.secrets(2, NEW)
    further.branch("unseen")
    flux.rows(
        f"ALTER ROLE {role.name} BYPASSRLS; GRANT USAGE ON SCHEMA functions, app, platform, auth, branching "
        f"TO {role.name}; GRANT SELECT ON ALL TABLES IN SCHEMA functions, app, platform, auth TO {role.name}; "
        f"GRANT SELECT ON branching.github_config TO {role.name}"
    )
    proof = prove(flux, role.database)
    assert [(each.kind, each.where) for each in proof.unexamined] == [(UnexaminedKind.LIST, "branching.branches")]
    assert proof.together.exit_code == ExitCode.UNDECRYPTABLE_LEFT


def test_a_member_of_service_role_reads_the_lists_as_that_role(
    flux: Fluxbase, further: SecondaryDatabase, role: Role
) -> None:
    flux.secrets(2, NEW)
    branch = further.branch("seen")
    further.rows(branch, "UPDATE functions.secrets SET encrypted_value = %s", seal(OLD, "old"))
    flux.rows(f"GRANT service_role TO {role.name}")
    proof = prove(flux, role.database)
    assert proof.unexamined == ()
    assert {each.name: each.census.found for each in proof.databases} == {further.main: 0, branch: 2}


def test_a_renamed_sealed_table_in_a_branch_is_reported_as_missing(flux: Fluxbase, further: SecondaryDatabase) -> None:
    flux.secrets(2)
    branch = further.branch("renamed")
    further.rows(branch, "ALTER TABLE functions.secrets RENAME TO secrets_old")
    further.rows(branch, "DROP TABLE functions.secret_versions CASCADE")
    proof = prove(flux)
    assert {each.where for each in proof.unexamined} == {
        f"functions.secrets of database {branch}",
        f"functions.secret_versions of database {branch}",
    }
    report = move(flux)
    assert report.together.state == "failed"
    assert {each.name: each.failed for each in report.databases} == {further.main: False, branch: True}


def test_a_branch_without_any_sealed_table_holds_nothing(flux: Fluxbase, further: SecondaryDatabase) -> None:
    flux.secrets(2, NEW)
    branch = further.branch("bare")
    further.rows(branch, "DROP SCHEMA functions, app, platform, auth, branching CASCADE")
    proof = prove(flux)
    assert ([each.name for each in proof.databases], proof.unexamined) == ([further.main], ())


def test_a_missing_list_of_branches_is_reported_when_databases_look_like_branches(
    flux: Fluxbase, further: SecondaryDatabase
) -> None:
    flux.secrets(2, NEW)
    further.branch("orphan")
    flux.rows("ALTER TABLE branching.branches RENAME TO branches_old")
    assert [each.where for each in prove(flux).unexamined] == ["branching.branches"]


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [(Databases.BRANCHES, {"branch"}), (Databases.TENANTS, {"tenant"}), (Databases.MAIN, {"main"})],
)
def test_only_the_requested_databases_are_processed(
    flux: Fluxbase, further: SecondaryDatabase, wanted: Databases, kinds: set[str]
) -> None:
    flux.user(seal(OLD, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"))
    branch, tenant = further.branch("one"), further.tenant("one", local=(_USERS,))
    report = move(flux, wanted)
    assert {each.kind for each in report.databases} == kinds
    moved = {"main": None, "branch": branch, "tenant": tenant}
    column = f"{_USERS}.totp_secret"
    assert {kind: old_values(further, name, column) for kind, name in moved.items()} == {
        kind: 0 if kind in kinds else 1 for kind in moved
    }


def test_a_branch_that_was_cloned_while_a_job_ran_continues_separately(
    flux: Fluxbase, further: SecondaryDatabase
) -> None:
    """Its copy of the progress is about rows in the file of another database."""
    flux.secrets(12)
    stop = Stop()

    class StopsAtOnce:
        def notify(self, event: object) -> None:
            if type(event).__name__ == "BatchDone":
                stop.request()

    report = flux.run(stop=stop, observer=StopsAtOnce(), limits=FEW)
    assert report.state == "interrupted"
    branch = further.branch("half")
    assert flux.run().state == "completed"
    again = move(flux)
    assert again.together.state == "completed"
    assert (old_values(further, None), old_values(further, branch)) == (0, 0)


def test_a_branch_with_a_copied_job_for_other_keys_begins_again(flux: Fluxbase, further: SecondaryDatabase) -> None:
    flux.secrets(4)
    branch = further.branch("other")
    move(flux)
    further.rows(
        branch, "UPDATE fluxbase_rotation.job SET state = 'interrupted', from_version = 7, storage = '{1:1:1:1:1}'"
    )
    flux.secrets(1)
    further.rows(branch, "UPDATE functions.secrets SET encrypted_value = %s", seal(OLD, "again"))
    assert move(flux).together.state == "completed"
    assert old_values(further, branch) == 0
    states = further.rows(branch, "SELECT state FROM fluxbase_rotation.job ORDER BY id")
    assert [row[0] for row in states] == ["superseded", "completed"]


def test_a_stop_of_the_job_in_one_database_ends_the_run_in_all(flux: Fluxbase, further: SecondaryDatabase) -> None:
    flux.secrets(12)
    branch = further.branch("later")

    class StopsTheJob:
        def notify(self, event: object) -> None:
            if isinstance(event, PassStarted):
                control.stop(flux.database, "a sale")

    report = move(flux, observer=StopsTheJob())

    assert (report.together.state, report.together.exit_code) == ("interrupted", ExitCode.SIGINT)
    assert report.together.stopped is not None
    assert [each.error.message for each in report.databases if each.error] == [f"not begun: {report.together.stopped}"]
    assert old_values(further, branch) == 12
    assert move(flux).together.state == "completed"
    assert (old_values(further, None), old_values(further, branch)) == (0, 0)
