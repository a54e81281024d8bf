"""A standby falls behind: the job waits for it, says so, and continues."""

from __future__ import annotations

import pytest

from fluxbase_cli.engine.throttle.pacing import MaxLag
from fluxbase_cli.errors import PreflightRefusedError
from fluxbase_cli.store.connection import connect
from fluxbase_cli.store.server_load import standbys
from tests.faults.reader import read
from tests.fixtures.command import Rotation, until
from tests.fixtures.fluxbase import Fluxbase, Role
from tests.fixtures.standby import NAME, Standby

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "-o", "json")


def test_a_job_waits_for_a_standby_whose_replay_is_paused(rotation: Rotation, standby: Standby) -> None:
    """An operator has paused the replay, for example for a report that must not be cancelled."""
    rotation.seed(1000)
    standby.pause_replay()
    with rotation.command.start(*_RE_ENCRYPT, "--max-rate", "50", "--max-replica-lag", "1s,1GB") as running:
        until(lambda: f"waiting: standby {NAME} is" in running.stderr, "it waits for the standby")
        rows = rotation.rows_done()
        assert rows < 1000
        assert rotation.command("secrets", "tune", "--max-rate", "0").code == 0
        until(lambda: "no rate limit from now on" in running.stderr, "it looks again, and waits all the same")
        assert rotation.rows_done() == rows
        assert not running.ended
        standby.resume_replay()
        outcome = running.finish()

    assert outcome.code == 0, outcome.stderr
    assert "it may be 1s,1.0 GB (--max-replica-lag)" in outcome.stderr
    assert "going on" in outcome.stderr
    assert read(rotation.url).versions == {2: 1000}


def test_without_a_standby_the_job_says_that_there_is_nothing_to_wait_for(rotation: Rotation) -> None:
    rotation.seed(100)

    outcome = rotation.command(*_RE_ENCRYPT, "--max-replica-lag", "1s")

    assert outcome.code == 0
    assert "no standby is connected" in outcome.stderr


def test_a_role_that_cannot_see_standbys_is_refused_until_it_gets_the_grant(
    flux: Fluxbase, role: Role, standby: Standby
) -> None:
    """The role sees standbys without a position. If the job continued, the limit would protect no standby."""
    flux.secrets(3)
    flux.rows(f"GRANT service_role TO {role.name}")
    flux.rows(f"GRANT SET ON PARAMETER session_replication_role TO {role.name}")
    flux.rows(f'GRANT CREATE ON DATABASE "{flux.value("SELECT current_database()")}" TO {role.name}')
    with connect(role.database) as connection:
        assert [(found.name, found.hidden) for found in standbys(connection)] == [(NAME, True)]

    with pytest.raises(PreflightRefusedError, match="may not see how far standbys are") as caught:
        flux.run(database=role.database, max_lag=MaxLag(seconds=60))
    assert flux.value("SELECT to_regnamespace('fluxbase_rotation')") is None

    flux.rows(str(caught.value.hint).partition("\n\n")[2])
    with connect(role.database) as connection:
        assert [found.hidden for found in standbys(connection)] == [False]
    assert flux.run(database=role.database, max_lag=MaxLag(seconds=60)).state == "completed"
