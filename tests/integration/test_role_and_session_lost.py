"""A role that can no longer see all rows while a job runs, and sessions whose settings were removed."""

from __future__ import annotations

import pytest

from fluxbase_cli.engine.events import Step
from fluxbase_cli.engine.run import worker
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.store.connection import Connection, connect, connect_for_values
from fluxbase_cli.store.transactions import Access, begin_batch
from tests.fixtures.fluxbase import OLD, SECRETS, TABLES, Fluxbase, Opened, Role, Spot, Watching, seal

_SCHEMAS = "functions, app, platform, auth, branching"


@pytest.fixture
def seeing(flux: Fluxbase, role: Role) -> Role:
    """A role that sees every row while it has BYPASSRLS. Without it, one secret that is marked as hidden is missing."""
    flux.rows(f"ALTER ROLE {role.name} BYPASSRLS")
    flux.rows(f"GRANT USAGE ON SCHEMA {_SCHEMAS} TO {role.name}")
    flux.rows(f"GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA {_SCHEMAS} TO {role.name}")
    flux.rows(f"GRANT SET ON PARAMETER session_replication_role TO {role.name}")
    flux.rows(f'GRANT CREATE ON DATABASE "{flux.value("SELECT current_database()")}" TO {role.name}')
    flux.rows(f"CREATE POLICY almost_all ON functions.secrets TO {role.name} USING (description IS NULL)")
    return role


def lose_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, every session of a worker comes from a pool that has lost the settings made at its beginning."""

    def reset(database: object, access: Access) -> Connection:
        connection = connect_for_values(database, access)  # type: ignore[arg-type]  # passed on
        connection.execute("RESET ALL")
        return connection

    monkeypatch.setattr(worker, "connect_for_values", reset)


@pytest.mark.parametrize("settings", ["kept", "lost"])
def test_a_role_that_loses_its_view_of_all_rows_during_a_job_gets_an_error_and_not_a_part(
    flux: Fluxbase, seeing: Role, monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    """Behind the cursor, a server writes an old value into a row that the role cannot see any more."""
    hidden, *_ = flux.secrets(6)
    spot = Spot(SECRETS, hidden, ())

    def blind() -> None:
        flux.rows(
            "UPDATE functions.secrets SET encrypted_value = %s, description = 'hidden' WHERE id = %s",
            seal(OLD, "late"),
            hidden,
        )
        flux.rows(f"ALTER ROLE {seeing.name} NOBYPASSRLS")

    if settings == "lost":
        lose_settings(monkeypatch)
    meddler = Watching(Step.COMMITTED, blind, table="functions.secrets")
    report = flux.run(observer=meddler, database=seeing.database)

    assert meddler.acted
    assert flux.everything()[spot] == Opened((1,), b"late")
    assert (report.state, report.exit_code) == ("failed", ExitCode.FAILED)
    assert report.error is not None
    assert "row-level security" in report.error
    flux.rows(f"ALTER ROLE {seeing.name} BYPASSRLS")
    again = flux.run(database=seeing.database)
    assert (again.job, again.state, again.remaining) == (report.job, "completed", 0)
    assert flux.everything()[spot] == Opened((2,), b"late")


def test_every_session_demands_an_error_instead_of_a_part_of_the_rows(flux: Fluxbase) -> None:
    """Also when it reads other things than values, for example the list of branches."""
    with connect(flux.database) as connection:
        assert connection.execute("SHOW row_security").fetchone() == ("off",)


def test_a_session_that_lost_its_settings_fires_no_trigger(full: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    full.rows(
        "CREATE TABLE public.fired (tablename text);"
        "CREATE FUNCTION public.fire() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN INSERT INTO public.fired VALUES (TG_TABLE_NAME); RETURN NULL; END$$"
    )
    for table in TABLES:
        full.rows(f"CREATE TRIGGER fire AFTER UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION public.fire()")
    lose_settings(monkeypatch)

    report = full.run()

    assert report.state == "completed"
    assert report.total.updated > len(TABLES)
    assert full.rows("SELECT * FROM public.fired") == []
    # They do fire for others, so this test could fail.
    full.rows("UPDATE auth.users SET totp_secret = totp_secret")
    assert full.value("SELECT count(*) FROM public.fired") > 0


@pytest.mark.parametrize(("quiet", "setting"), [(True, "replica"), (False, "origin")])
def test_a_session_for_values_silences_triggers_from_its_beginning_if_that_is_allowed(
    flux: Fluxbase, *, quiet: bool, setting: str
) -> None:
    with connect_for_values(flux.database, Access(quiet=quiet)) as connection:
        assert connection.execute("SHOW session_replication_role").fetchone() == (setting,)


def test_the_settings_of_a_batch_end_with_the_batch(flux: Fluxbase) -> None:
    """A session that goes back to a pool passes none of our settings on to others."""
    names = ("synchronous_commit", "session_replication_role", "row_security")

    def shown(connection: Connection) -> list[object]:
        return [(connection.execute(f"SHOW {name}".encode()).fetchone() or (None,))[0] for name in names]

    with connect(flux.database) as connection:
        connection.execute("RESET ALL")
        before = shown(connection)
        connection.execute(begin_batch(Access(quiet=True)))
        assert shown(connection) == ["off", "replica", "off"]
        connection.execute("COMMIT")
        assert shown(connection) == before
