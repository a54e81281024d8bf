"""Connection poolers: those that share sessions are refused, and no setting of ours stays in their sessions."""

from __future__ import annotations

import pytest

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.observe.status import recent_jobs
from fluxbase_cli.errors import DatabaseError, PreflightRefusedError
from fluxbase_cli.store.connection import connect, session
from tests.fixtures.fluxbase import Fluxbase
from tests.fixtures.pooled import Pool, Start

_SETTINGS = ("session_replication_role", "row_security", "search_path", "statement_timeout", "lock_timeout")


def _through(pool: Pool) -> DatabaseSettings:
    return DatabaseSettings.from_url(pool.url, "the test")


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("sessions", [1, 5])
def test_a_pool_that_shares_its_sessions_is_refused_and_keeps_no_setting(
    full: Fluxbase, pooler: Start, mode: str, sessions: int
) -> None:
    # With one session the server process never changes.
    pool = pooler(pool_mode=mode, default_pool_size=sessions, server_round_robin=1)
    before = pool.settings(*_SETTINGS)

    with pytest.raises(PreflightRefusedError, match="gives each transaction another session"):
        full.run(database=_through(pool))
    with pytest.raises(PreflightRefusedError, match="gives each transaction another session"):
        full.audit(database=_through(pool))
    with pytest.raises(PreflightRefusedError, match="gives each transaction another session"):
        recent_jobs(_through(pool))

    assert [pool.settings(*_SETTINGS) for _ in range(sessions)] == [before] * sessions


def test_a_pool_that_does_not_reset_its_sessions_is_refused_and_keeps_no_setting(full: Fluxbase, pooler: Start) -> None:
    pool = pooler(pool_mode="session", server_reset_query="", default_pool_size=1)
    before = pool.settings(*_SETTINGS)

    with pytest.raises(PreflightRefusedError, match="does not reset its sessions"):
        full.run(database=_through(pool))

    assert pool.settings(*_SETTINGS) == before


def test_a_job_through_a_pool_in_session_mode_is_completed_and_leaves_no_setting(full: Fluxbase, pooler: Start) -> None:
    pool = pooler(pool_mode="session", default_pool_size=8)
    before = pool.settings(*_SETTINGS)

    assert full.run(database=_through(pool), workers=2).state == "completed"

    assert [pool.settings(*_SETTINGS) for _ in range(3)] == [before] * 3


def test_our_sessions_are_reset_even_if_the_pooler_stops_doing_so(full: Fluxbase, pooler: Start) -> None:
    pool = pooler(pool_mode="session", server_reset_query="", default_pool_size=1)
    before = pool.settings(*_SETTINGS)

    with connect(_through(pool)) as connection:
        connection.execute("SET session_replication_role = replica")

    assert pool.settings(*_SETTINGS) == before


def test_a_pool_with_no_session_free_is_told(full: Fluxbase, pooler: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxbase_cli.store.connection._FIRST_ANSWER_S", 0.5)
    monkeypatch.setattr("fluxbase_cli.store.pooler._SECOND_S", 0.5)
    pool = pooler(pool_mode="session", default_pool_size=1)

    with session(_through(pool)), pytest.raises(DatabaseError, match="may have none free"), session(_through(pool)):
        pass


def test_a_pool_with_one_session_is_enough_for_a_command_that_needs_one(
    full: Fluxbase, pooler: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxbase_cli.store.pooler._SECOND_S", 0.5)
    pool = pooler(pool_mode="session", default_pool_size=1)

    assert recent_jobs(_through(pool)) is not None
    with session(_through(pool)) as connection:
        assert connection.execute("SHOW search_path").fetchone() == ("pg_catalog",)
