"""Is everything that would stop a job, or copy what it writes, said before the first write, with the remedy?"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import psycopg.conninfo
import pytest

from fluxbase_cli.engine.events import Step
from fluxbase_cli.engine.prepare.checkup import examine_database
from fluxbase_cli.errors import ExitCode, PreflightRefusedError
from fluxbase_cli.store.findings import CheckStatus
from tests.fixtures.command import until
from tests.fixtures.fluxbase import OLD, USERS, Fluxbase, Watching, seal

_TABLE = "functions.secrets"


def assert_refused(flux: Fluxbase, said: str, remedy: str) -> None:
    """The job is refused and leaves no trace. `config check` and the dry run say the same."""
    places, relations = flux.places(), flux.relations()
    with pytest.raises(PreflightRefusedError) as caught:
        flux.run()
    assert caught.value.exit_code is ExitCode.USAGE
    assert said in caught.value.message
    assert remedy in (caught.value.hint or "")
    refusals = [each for each in examine_database(flux.database).findings if each.status is CheckStatus.REFUSE]
    assert [each.message for each in refusals] == [caught.value.message]
    dry = flux.run(dry_run=True)
    assert dry.state == "dry-run"
    assert any(said in warning and remedy in warning for warning in dry.warnings)
    assert (flux.places(), flux.relations()) == (places, relations)


def told(flux: Fluxbase) -> str:
    return "\n".join(
        each.message for each in examine_database(flux.database).findings if each.status is CheckStatus.TELL
    )


@pytest.mark.parametrize(
    ("setup", "said", "remedy"),
    [
        pytest.param(
            f"ALTER TABLE {_TABLE} REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR TABLE {_TABLE}",
            "does not have a replica identity and publishes updates",
            f"ALTER TABLE {_TABLE} REPLICA IDENTITY",
            id="no replica identity",
        ),
        pytest.param(
            f"CREATE PUBLICATION p FOR TABLE {_TABLE} WHERE (scope = 'global')",
            "not part of the replica identity",
            "row filter",
            id="a row filter beyond the replica identity",
        ),
        pytest.param(
            f"CREATE PUBLICATION p FOR TABLE {_TABLE} (id); ALTER TABLE {_TABLE} REPLICA IDENTITY FULL",
            "does not cover the replica identity",
            "column list",
            id="a column list without the replica identity",
        ),
        pytest.param(
            f"CREATE RULE held AS ON UPDATE TO {_TABLE} DO INSTEAD NOTHING;"
            f"ALTER TABLE {_TABLE} ENABLE ALWAYS RULE held",
            f"instead of our updates: {_TABLE}.held",
            "DISABLE RULE",
            id="a rule that does something else",
        ),
        pytest.param(
            f"CREATE TABLE public.copies (old text); CREATE RULE copy AS ON UPDATE TO {_TABLE} DO ALSO INSERT INTO "
            f"public.copies VALUES (OLD.encrypted_value); ALTER TABLE {_TABLE} ENABLE ALWAYS RULE copy",
            f"may copy it: {_TABLE}.copy",
            "--allow-triggers",
            id="a rule that copies",
        ),
        pytest.param(
            f"ALTER TABLE {_TABLE} DROP COLUMN encrypted_value, ADD COLUMN encrypted_value text "
            "GENERATED ALWAYS AS (description) STORED",
            "can only be updated to DEFAULT",
            "an ordinary column",
            id="a generated column",
        ),
    ],
)
def test_what_would_stop_a_job_is_said_before_the_first_write(
    flux: Fluxbase, setup: str, said: str, remedy: str
) -> None:
    flux.secrets(2)
    flux.rows(setup)
    assert_refused(flux, said, remedy)


def test_rules_that_do_not_fire_are_ignored(flux: Fluxbase) -> None:
    flux.secrets(2)
    flux.rows(f"CREATE RULE held AS ON UPDATE TO {_TABLE} DO INSTEAD NOTHING")
    assert flux.run().state == "completed"


def test_what_is_computed_from_a_sealed_column_is_told_and_moves_with_it(flux: Fluxbase) -> None:
    flux.secrets(2)
    flux.rows(
        f"ALTER TABLE {_TABLE} ADD COLUMN digest text GENERATED ALWAYS AS (md5(encrypted_value)) STORED;"
        f"CREATE INDEX by_beginning ON {_TABLE} (left(encrypted_value, 8))"
    )
    for derived in ("column digest", "index by_beginning"):
        assert f"{derived} of {_TABLE} is computed from encrypted_value" in told(flux)
    assert flux.run().state == "completed"
    assert flux.value(f"SELECT bool_and(digest = md5(encrypted_value)) FROM {_TABLE}")


def test_an_event_trigger_that_forbids_our_schema_is_named_before_the_first_write(flux: Fluxbase) -> None:
    flux.secrets(2)
    flux.rows(
        "CREATE FUNCTION public.forbid() RETURNS event_trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no schemas here'; END $$;"
        "CREATE EVENT TRIGGER no_ddl ON ddl_command_start EXECUTE FUNCTION public.forbid()"
    )
    assert "event triggers run when the schema fluxbase_rotation is created: no_ddl" in told(flux)
    places, relations = flux.places(), flux.relations()
    with pytest.raises(PreflightRefusedError, match="an event trigger forbids") as caught:
        flux.run()
    assert (flux.places(), flux.relations()) == (places, relations)
    assert 'ALTER EVENT TRIGGER "no_ddl" DISABLE' in (caught.value.hint or "")
    flux.rows("ALTER EVENT TRIGGER no_ddl DISABLE")
    assert flux.run().state == "completed"


@contextmanager
def slot(flux: Fluxbase) -> Iterator[str]:
    """Somebody may receive the changes of this database. The name of the slot."""
    name = f"test_{secrets.token_hex(4)}"
    flux.rows("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", name)
    try:
        yield name
    finally:
        flux.rows("SELECT pg_drop_replication_slot(%s)", name)


def test_a_publication_of_all_tables_is_refused_until_it_is_accepted(flux: Fluxbase) -> None:
    """A subscriber that lacks our tables would stop receiving all changes."""
    flux.secrets(2)
    flux.rows("CREATE PUBLICATION everything FOR ALL TABLES")
    try:
        receiving = slot(flux)
        receiving.__enter__()
    except psycopg.errors.ObjectNotInPrerequisiteState:
        pytest.skip("the server of these tests has no logical replication (wal_level)")
    try:
        assert_refused(flux, "publication everything would publish the tables of fluxbase_rotation", "--allow-publ")
        assert flux.run(allow_publications=True).state == "completed"
        # Now they are there, and the subscriber has them.
        assert flux.run(source=2, target=1).state == "completed"
    finally:
        receiving.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE functions.secrets ALTER encrypted_value TYPE bytea USING ''", "its type is bytea"),
        (
            "ALTER TABLE functions.secrets RENAME TO stored; CREATE VIEW functions.secrets AS TABLE functions.stored",
            "is not a table",
        ),
    ],
    ids=["another type", "a view"],
)
def test_a_table_that_changes_while_the_job_runs_is_listed_and_the_rest_is_moved(
    flux: Fluxbase, change: str, said: str
) -> None:
    flux.secrets(8)
    flux.user(seal(OLD, "totp"))
    flux.close()
    report = flux.run(observer=Watching(Step.COMMITTED, lambda: flux.rows(change), table=_TABLE))
    assert (report.state, report.exit_code) == ("failed", ExitCode.FAILED)
    assert said in str(report.unexamined[0])
    assert report.locations[USERS].updated == 1


@contextmanager
def subscriber(flux: Fluxbase) -> Iterator[Fluxbase]:
    """A copy of the database that then gets every change of `functions.secrets` by logical replication."""
    flux.close()
    name, source = f"test_{secrets.token_hex(4)}", flux.value("SELECT current_database()")
    address = psycopg.conninfo.make_conninfo(flux.url)
    flux.rows(f"CREATE PUBLICATION changes FOR TABLE {_TABLE}")
    outside = Fluxbase(flux.url.rpartition("/")[0] + "/postgres")
    outside.rows(f'CREATE DATABASE "{name}" TEMPLATE "{source}"')
    other = Fluxbase(flux.url.rpartition("/")[0] + f"/{name}")
    try:
        with slot(flux) as slot_name:
            quoted = address.replace("'", "''")
            other.rows(
                f"CREATE SUBSCRIPTION {name} CONNECTION '{quoted}' PUBLICATION changes "
                f"WITH (create_slot = false, copy_data = false, slot_name = {slot_name})"
            )
            try:
                yield other
            finally:
                other.rows(f"ALTER SUBSCRIPTION {name} DISABLE; ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")
                other.rows(f"DROP SUBSCRIPTION {name}")
                until(
                    lambda: not flux.value("SELECT active FROM pg_replication_slots WHERE slot_name = %s", slot_name),
                    "nobody receives",
                )
    finally:
        other.close()
        outside.rows(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_a_job_on_a_subscriber_says_that_old_values_may_still_come(flux: Fluxbase) -> None:
    rows = flux.secrets(4)
    with subscriber(flux) as other:
        assert f"writes to {_TABLE}: what it brings is sealed as on the publisher" in told(other)
        assert other.run().state == "completed"
        assert other.audit(1).exit_code == ExitCode.DONE
        came = seal(OLD, "from the publisher")
        flux.rows(f"UPDATE {_TABLE} SET encrypted_value = %s WHERE id = %s", came, rows[0])
        until(lambda: other.value(f"SELECT encrypted_value FROM {_TABLE} WHERE id = %s", rows[0]) == came, "it came")
        assert other.audit(1).found == 1
        assert other.run().total.updated == 1
        assert other.audit(1).exit_code == ExitCode.DONE
