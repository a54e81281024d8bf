"""Schemas of ours that somebody else made, or could change, are refused before anything of them runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.observe.status import recent_jobs
from fluxbase_cli.errors import ExitCode, PreflightRefusedError, UntrustedSchemaError
from fluxbase_cli.keys.history import read_history
from fluxbase_cli.store import trust
from fluxbase_cli.store.connection import Connection, connect
from fluxbase_cli.store.queries import Statements
from fluxbase_cli.store.schema import Schema
from fluxbase_cli.store.trust import refuse_event_triggers, refuse_untrusted
from tests.fixtures.fluxbase import SECRETS, Fluxbase, Role

_CANARY = """
    CREATE TABLE public.canary (who text);
    GRANT INSERT ON public.canary TO PUBLIC;
    CREATE FUNCTION public.spring() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN INSERT INTO public.canary VALUES (current_user); RETURN new; END$$;
    CREATE FUNCTION public.spring_in_check(anything anyelement) RETURNS boolean LANGUAGE plpgsql AS
        $$BEGIN INSERT INTO public.canary VALUES (current_user); RETURN true; END$$;
"""


def plant(flux: Fluxbase, role: Role) -> None:
    """As the other role: make our schemas first, with a trigger that runs what the role wants."""
    flux.rows(f'GRANT CREATE ON DATABASE "{flux.value("SELECT current_database()")}" TO {role.name}')
    with connect(role.database) as connection:
        Schema(connection).ensure()
    flux.rows(f"GRANT CREATE ON SCHEMA public TO {role.name}; {_CANARY}")
    with connect(role.database) as connection:
        connection.execute(
            "CREATE TRIGGER trap BEFORE INSERT ON fluxbase_rotation.runner"
            " FOR EACH ROW EXECUTE FUNCTION public.spring()"
        )


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda flux: flux.run(), id="a job"),
        pytest.param(lambda flux: recent_jobs(flux.database), id="status"),
        pytest.param(lambda flux: read_history(flux.database), id="keys"),
    ],
)
def test_a_schema_that_another_role_made_first_is_not_used(
    flux: Fluxbase, role: Role, use: Callable[[Fluxbase], object]
) -> None:
    flux.secrets(3)
    plant(flux, role)
    before = flux.places()

    with pytest.raises(UntrustedSchemaError, match=f"fluxbase_.* its owner is {role.name}") as caught:
        use(flux)

    assert caught.value.exit_code is ExitCode.USAGE
    assert "DROP SCHEMA fluxbase_" in (caught.value.hint or "")
    assert flux.rows("SELECT * FROM public.canary") == []
    assert flux.places() == before


_TAMPERED = {
    "a trigger": "CREATE TRIGGER trap BEFORE INSERT ON fluxbase_rotation.runner FOR EACH ROW EXECUTE FUNCTION spring()",
    "a trigger with our name": (
        "DROP TRIGGER event_is_append_only ON fluxbase_keys.event;"
        "CREATE TRIGGER event_is_append_only BEFORE INSERT ON fluxbase_keys.event"
        " FOR EACH ROW EXECUTE FUNCTION spring()"
    ),
    "a rule": "CREATE RULE trap AS ON INSERT TO fluxbase_rotation.job DO ALSO SELECT 1",
    "a policy": "CREATE POLICY trap ON fluxbase_keys.key USING (true)",
    "a view": "CREATE VIEW fluxbase_keys.trap AS SELECT 1",
    "a table turned into a view": (
        "ALTER TABLE fluxbase_rotation.batch SET SCHEMA public;"
        "CREATE VIEW fluxbase_rotation.batch AS SELECT * FROM public.batch"
    ),
    "a function": "CREATE FUNCTION fluxbase_rotation.lower(text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
    "a domain": "CREATE DOMAIN fluxbase_keys.trap AS text",
    "an operator": "CREATE OPERATOR fluxbase_rotation.= (leftarg = text, rightarg = text, function = texteq)",
    "a CHECK": "ALTER TABLE fluxbase_rotation.runner ADD CHECK (spring_in_check(host))",
    "a default": "ALTER TABLE fluxbase_rotation.runner ALTER host SET DEFAULT spring_in_check(1)::text",
    "an index": (
        "CREATE FUNCTION same(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';"
        "CREATE INDEX ON fluxbase_rotation.runner (same(host))"
    ),
    "a type": "CREATE DOMAIN own_text AS text; ALTER TABLE fluxbase_rotation.runner ALTER host TYPE own_text",
    "a child": "CREATE TABLE child () INHERITS (fluxbase_rotation.runner)",
    "a parent": "CREATE TABLE parent (host text NOT NULL); ALTER TABLE fluxbase_rotation.runner INHERIT parent",
    "a foreign key": "CREATE TABLE other (job bigint REFERENCES fluxbase_rotation.job ON DELETE CASCADE)",
    "default privileges": "ALTER DEFAULT PRIVILEGES IN SCHEMA fluxbase_keys GRANT ALL ON TABLES TO {role}",
    "an owner of a table": "ALTER TABLE fluxbase_rotation.runner OWNER TO {role}",
    "an owner of a function": "ALTER FUNCTION fluxbase_keys.refuse_change OWNER TO {role}",
    "an owner of the schema": "ALTER SCHEMA fluxbase_keys OWNER TO {role}",
    "the right to create": "GRANT CREATE ON SCHEMA fluxbase_rotation TO {role}",
    "the right to add triggers": "GRANT TRIGGER ON fluxbase_rotation.runner TO {role}",
    "a right of all": "GRANT SELECT ON fluxbase_keys.wrapped_key TO PUBLIC",
}


def _is_refused(connection: Connection) -> bool:
    try:
        refuse_untrusted(connection, ["fluxbase_rotation", "fluxbase_keys"], again=True)
    except UntrustedSchemaError as error:
        return bool(error.hint)
    return False


def test_whatever_somebody_added_is_found(flux: Fluxbase, role: Role) -> None:
    with connect(flux.database) as connection:
        connection.execute(_CANARY.encode())
        Schema(connection).ensure()
        accepted = []
        for what, statements in _TAMPERED.items():
            with connection.transaction(force_rollback=True):
                connection.execute("SET LOCAL search_path = public")
                connection.execute(statements.format(role=role.name).encode())
                connection.execute("SET LOCAL search_path = pg_catalog")
                if not _is_refused(connection):
                    accepted.append(what)
        assert accepted == []
        # Without the tampering they are used, also after grants of data.
        connection.execute(f"GRANT SELECT, INSERT ON fluxbase_rotation.job TO {role.name}".encode())
        assert Schema(connection).exists()


@pytest.fixture
def generous(flux: Fluxbase, role: Role) -> Fluxbase:
    """A database whose default privileges give every new object to another role and to all."""
    for objects in ("TABLES", "SEQUENCES", "FUNCTIONS", "SCHEMAS"):
        flux.rows(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON {objects} TO PUBLIC, {role.name}")
    return flux


def test_what_default_privileges_give_to_others_is_taken_away(generous: Fluxbase, role: Role) -> None:
    generous.secrets(3)

    assert generous.run().state == "completed"
    assert recent_jobs(generous.database)

    rights = generous.rows(
        "SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname LIKE 'fluxbase_%%' AND c.relkind = 'r'"
        " AND (has_schema_privilege(%s, n.oid, 'USAGE') OR has_table_privilege(%s, c.oid, 'SELECT, INSERT, TRIGGER'))",
        role.name,
        role.name,
    )
    assert rights == []


def test_a_schema_that_is_made_anew_is_checked_anew(flux: Fluxbase, role: Role) -> None:
    """Somebody drops the schema while a command runs, and another role makes it again."""
    with connect(flux.database) as connection:
        Schema(connection).ensure()
        assert Schema(connection).exists()
        flux.rows("DROP SCHEMA fluxbase_rotation, fluxbase_keys CASCADE")
        plant(flux, role)

        with pytest.raises(UntrustedSchemaError):
            Schema(connection).exists()


def test_the_long_check_is_made_once_for_each_role_and_again_after_a_while(
    flux: Fluxbase, role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks, rows = [], Statements.rows

    def counted(statements: Statements, name: str, **values: object) -> Any:
        checks.extend([name] if name == "faults" else [])
        return rows(statements, name, **values)

    with connect(flux.database) as connection:
        Schema(connection).ensure()
    monkeypatch.setattr(trust, "_PASSED", {})
    monkeypatch.setattr(Statements, "rows", counted)

    def number_after_a_session(database: DatabaseSettings) -> int:
        with connect(database) as connection:
            refuse_untrusted(connection, ["fluxbase_rotation", "fluxbase_keys"])
        return len(checks)

    assert [number_after_a_session(flux.database) for _ in range(3)] == [1, 1, 1]
    assert [number_after_a_session(role.database) for _ in range(2)] == [2, 2]
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert number_after_a_session(flux.database) == 3


class _AtThatMoment:
    """Lets somebody else act at a moment between our check and our statement."""

    def __init__(self, act: Callable[[], object], then: Callable[..., Any]) -> None:
        self._act = act
        self._then = then

    def __call__(self, *arguments: Any) -> Any:
        found = self._then(*arguments)
        self._act()
        return found


@pytest.mark.parametrize("moment", ["refuse_event_triggers", "_missing"])
def test_a_schema_that_is_made_between_check_and_use_is_not_used(
    flux: Fluxbase, role: Role, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    flux.rows(f'GRANT CREATE ON DATABASE "{flux.value("SELECT current_database()")}" TO {role.name}')
    made: list[Connection] = []

    def make() -> None:
        if not made:
            made.append(connect(role.database))
            made[0].execute("CREATE SCHEMA fluxbase_rotation")
            made[0].execute("CREATE TABLE fluxbase_rotation.job (id bigint)")

    with connect(flux.database) as connection:
        schema = Schema(connection)
        if moment == "_missing":
            # `refuse_if_missing` asks too, so only the call inside the transaction counts.
            monkeypatch.setattr(schema, "refuse_if_missing", lambda: None)
            monkeypatch.setattr(schema, moment, _AtThatMoment(make, schema._missing))
        else:
            monkeypatch.setattr(f"fluxbase_cli.store.schema.{moment}", _AtThatMoment(make, refuse_event_triggers))
        with pytest.raises(PreflightRefusedError):
            schema.ensure()
    assert made
    made[0].close()
    assert flux.rows("SELECT tablename FROM pg_tables WHERE schemaname LIKE 'fluxbase_%%'") == [("job",)]


def test_an_event_trigger_of_a_weaker_role_does_not_run_when_tables_are_made(flux: Fluxbase, role: Role) -> None:
    flux.rows(_CANARY)
    flux.rows(
        "CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$BEGIN INSERT INTO public.canary VALUES (current_user); END$$"
    )
    flux.rows("CREATE EVENT TRIGGER trap ON ddl_command_end EXECUTE FUNCTION public.on_ddl()")
    flux.rows(f"GRANT CREATE ON SCHEMA public TO {role.name}; ALTER FUNCTION public.on_ddl OWNER TO {role.name}")
    flux.rows("DELETE FROM public.canary")

    with connect(flux.database) as connection, pytest.raises(PreflightRefusedError, match="event trigger trap"):
        Schema(connection).ensure()
    assert flux.rows("SELECT * FROM public.canary") == []


@pytest.mark.parametrize("attached", ["the table", "a function"])
def test_what_a_weaker_role_attached_to_a_table_does_not_run_as_a_superuser(
    flux: Fluxbase, role: Role, attached: str
) -> None:
    flux.secrets(5)
    flux.rows(_CANARY)
    table = SECRETS.rpartition(".")[0]
    flux.rows(f"ALTER TABLE {table} ADD CHECK (public.spring_in_check(encrypted_value)) NOT VALID")
    flux.rows(f"GRANT CREATE ON SCHEMA public, functions TO {role.name}")
    flux.rows(
        f"ALTER TABLE {table} OWNER TO {role.name}"
        if attached == "the table"
        else f"ALTER FUNCTION public.spring_in_check(anyelement) OWNER TO {role.name}"
    )

    assert flux.run().total.re_encrypted == 5

    assert {who for (who,) in flux.rows("SELECT DISTINCT who FROM public.canary")} == {"service_role"}


def test_without_a_role_to_switch_to_a_superuser_is_refused(flux: Fluxbase, role: Role) -> None:
    table = SECRETS.rpartition(".")[0]
    flux.secrets(5)
    flux.rows(f"GRANT CREATE ON SCHEMA functions TO {role.name}; ALTER TABLE {table} OWNER TO {role.name}")
    flux.rows(f"REVOKE ALL ON {table} FROM service_role")

    with pytest.raises(PreflightRefusedError, match="service_role lacks"):
        flux.run()
    with psycopg.connect(flux.url) as connection:
        assert connection.execute("SELECT to_regnamespace('fluxbase_rotation')").fetchone() == (None,)
