"""A role or a server with few connections: fewer workers, room for the application, and one line about it."""

from __future__ import annotations

import pytest

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.events import Event, Message, Waiting
from fluxbase_cli.errors import PreflightRefusedError
from fluxbase_cli.store.free_connections import FreeConnections
from tests.fixtures.fluxbase import FEW, Fluxbase, Role
from tests.fixtures.pooled import Start


class _Messages:
    """Keeps warnings and waits."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.waits: list[str] = []

    def notify(self, event: Event) -> None:
        if isinstance(event, Message) and event.warning:
            self.warnings.append(event.message)
        elif isinstance(event, Waiting):
            self.waits.append(event.reason)


@pytest.fixture
def able(full: Fluxbase, role: Role) -> Role:
    """A role that may do a whole job and is no superuser."""
    database = full.value("SELECT current_database()")
    schemas = "app, auth, branching, functions, platform"
    for statement in (
        f"ALTER ROLE {role.name} BYPASSRLS",
        f"GRANT CREATE ON DATABASE {database} TO {role.name}",
        f"GRANT SET ON PARAMETER session_replication_role TO {role.name}",
        f"GRANT USAGE ON SCHEMA {schemas} TO {role.name}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA {schemas} TO {role.name}",
    ):
        full.rows(statement)
    return role


def test_a_job_takes_fewer_workers_where_the_role_has_few_connections(full: Fluxbase, able: Role) -> None:
    full.rows(f"ALTER ROLE {able.name} CONNECTION LIMIT 9")
    seen = _Messages()

    report = full.run(database=able.database, workers=8, observer=seen)

    assert report.state == "completed"
    # One of the nine is the session that looks; of eight, two stay free, and the runner needs two.
    assert len(seen.warnings) == 1
    assert seen.warnings[0] == (
        f"8 connections are free (CONNECTION LIMIT 9 of role {able.name}): working with 2 workers instead of 8, "
        "so that others can still connect"
    )
    assert seen.waits == []


def test_a_job_is_completed_where_there_are_just_enough_connections(full: Fluxbase, able: Role) -> None:
    full.rows(f"ALTER ROLE {able.name} CONNECTION LIMIT 4")
    seen = _Messages()

    report = full.run(database=able.database, workers=4, observer=seen)

    assert report.state == "completed"
    assert len(seen.warnings) == 1


def test_a_job_is_done_with_three_connections_and_refused_where_there_may_be_fewer(full: Fluxbase, able: Role) -> None:
    full.rows(f"ALTER ROLE {able.name} CONNECTION LIMIT 2")
    with pytest.raises(PreflightRefusedError) as refused:
        full.run(database=able.database, workers=4)
    assert str(refused.value) == (
        f"a job needs 3 connections at once, and CONNECTION LIMIT 2 of role {able.name} allows 2"
    )
    assert full.value("SELECT to_regnamespace('fluxbase_rotation')") is None

    full.rows(f"ALTER ROLE {able.name} CONNECTION LIMIT 3")
    assert full.run(database=able.database, workers=4).state == "completed"


def test_workers_that_get_no_connection_leave_and_the_others_do_the_job(
    full: Fluxbase, able: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have taken the connections since they were counted."""
    monkeypatch.setattr(
        "fluxbase_cli.engine.allowed_workers.free_connections", lambda _connection: FreeConnections(100, "nothing", 100)
    )
    full.rows(f"ALTER ROLE {able.name} CONNECTION LIMIT 5")
    seen = _Messages()

    report = full.run(database=able.database, workers=12, observer=seen, limits=FEW)

    assert report.state == "completed"
    [told] = seen.warnings
    assert told.startswith("not enough connections (")
    assert full.audit(1).found == 0


def test_a_pool_that_is_smaller_than_the_workers_is_told_once_and_does_the_job(
    full: Fluxbase, pooler: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxbase_cli.store.connection._FIRST_ANSWER_S", 0.5)
    pool = pooler(pool_mode="session", default_pool_size=4)
    seen = _Messages()

    report = full.run(database=DatabaseSettings.from_url(pool.url, "the test"), workers=8, observer=seen)

    assert report.state == "completed"
    [told] = seen.warnings
    assert "no session of the server answered" in told


def test_an_audit_takes_fewer_workers_where_the_role_has_few_connections(full: Fluxbase, able: Role) -> None:
    full.rows(f"ALTER ROLE {able.name} CONNECTION LIMIT 5")

    assert full.audit(database=able.database, workers=12).scanned == full.audit().scanned


@pytest.mark.parametrize(("free", "ours"), [(100, 75), (8, 6), (3, 1), (1, 1), (0, 1)])
def test_some_of_the_free_connections_are_left_to_others(free: int, ours: int) -> None:
    assert FreeConnections(free, "a limit", 100).ours == ours
