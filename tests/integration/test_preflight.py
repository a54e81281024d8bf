"""What is refused before anything is touched, each with its hint; and that the hint helps."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fluxbase_cli.counts import Counts
from fluxbase_cli.errors import ConfigurationError, ExitCode, PreflightRefusedError, WrongKeyError
from fluxbase_cli.store.connection import connect
from fluxbase_cli.store.findings import CheckStatus
from fluxbase_cli.store.preflight import inspect
from tests.fixtures.fluxbase import (
    KEYS_OF_THREE,
    NEW,
    OLD,
    SECRETS,
    STRANGER,
    TABLES,
    THIRD,
    Fluxbase,
    Role,
    seal,
)

SCHEMAS = "functions, app, platform, auth, branching"


def refused(flux: Fluxbase, role: Role | None = None, **options: Any) -> PreflightRefusedError:
    """Run a job that must be refused and must leave no trace."""
    places, relations = flux.places(), flux.relations()
    with pytest.raises(PreflightRefusedError) as caught:
        flux.run(database=role.database if role else None, **options)
    assert (flux.places(), flux.relations()) == (places, relations)
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.hint
    return caught.value


def may_write(flux: Fluxbase, role: Role) -> None:
    flux.rows(f"GRANT USAGE ON SCHEMA {SCHEMAS} TO {role.name}")
    for table in TABLES:
        flux.rows(f"GRANT SELECT, UPDATE ON {table} TO {role.name}")
    flux.rows(f'GRANT CREATE ON DATABASE "{database_name(flux)}" TO {role.name}')


def database_name(flux: Fluxbase) -> str:
    return str(flux.value("SELECT current_database()"))


def carry_out(flux: Fluxbase, hint: str | None, pattern: str) -> None:
    """Run the statements of a hint that begin with this text."""
    statements = re.findall(rf"({pattern}[^;]*);", hint or "")
    assert statements
    for statement in statements:
        flux.rows(statement)


# --- the role -----------------------------------------------------------------------------------------------------


def test_a_role_that_cannot_see_all_rows_is_refused_until_it_can(flux: Fluxbase, role: Role) -> None:
    flux.secrets(3)
    may_write(flux, role)
    flux.rows(f"GRANT SET ON PARAMETER session_replication_role TO {role.name}")
    error = refused(flux, role)
    assert "row-level security" in error.message
    with pytest.raises(PreflightRefusedError, match="row-level security"):
        flux.audit(database=role.database)
    carry_out(flux, error.hint, "ALTER ROLE")
    assert flux.run(database=role.database).total == Counts(scanned=3, re_encrypted=3, updated=3)


def test_the_owner_of_the_tables_is_refused_too(flux: Fluxbase, role: Role) -> None:
    for table in TABLES:
        flux.rows(f"ALTER TABLE {table} OWNER TO {role.name}")
    assert "row-level security" in refused(flux, role).message


def test_a_role_that_may_not_see_what_others_do_is_told_of_their_sessions(flux: Fluxbase, role: Role) -> None:
    """Who stops the server and reads that nobody is connected moves the values."""
    with flux.connect(), connect(role.database) as connection:
        told = [finding for finding in inspect(connection, write=False).findings if finding.check == "sessions"]
        assert [finding.status for finding in told] == [CheckStatus.TELL]
        assert told[0].message.startswith("1 other session is on this database")
    with connect(role.database) as connection:
        (alone,) = [each for each in inspect(connection, write=False).findings if each.check == "sessions"]
        assert alone.message == "nobody else is connected"


def test_a_member_of_service_role_works_as_that_role(full: Fluxbase, role: Role) -> None:
    before, dump = full.everything(), full.dump()
    full.rows(f'GRANT service_role TO {role.name}; GRANT CREATE ON DATABASE "{database_name(full)}" TO {role.name}')
    full.rows(f"GRANT SET ON PARAMETER session_replication_role TO {role.name}")
    report = full.run(database=role.database, workers=2)
    assert report.state == "completed"
    assert {location: counts for location, counts in report.locations.items() if counts} == dict(full.expected)
    assert {spot: each.text for spot, each in full.everything().items()} == {s: e.text for s, e in before.items()}
    assert full.dump() == dump
    # The server's role has no privileges on our tables.
    assert not full.value("SELECT has_schema_privilege('service_role', 'fluxbase_rotation', 'USAGE')")
    assert full.audit(1, database=role.database).found == 0


def test_without_the_grant_that_silences_triggers_the_operator_must_accept_that_they_fire(
    flux: Fluxbase, role: Role
) -> None:
    user = flux.user(seal(OLD, "totp"))
    flux.rows(f'GRANT service_role TO {role.name}; GRANT CREATE ON DATABASE "{database_name(flux)}" TO {role.name}')
    stamp = flux.value("SELECT updated_at FROM auth.users WHERE id = %s", user)
    error = refused(flux, role)
    assert "update_auth_users_updated_at" in error.message
    assert "GRANT SET ON PARAMETER session_replication_role" in (error.hint or "")
    assert "--allow-triggers" in (error.hint or "")
    report = flux.run(database=role.database, allow_triggers=True)
    assert (report.state, report.total.updated) == ("completed", 1)
    assert any("fire" in warning for warning in report.warnings)
    assert flux.value("SELECT updated_at FROM auth.users WHERE id = %s", user) > stamp


def test_the_grant_in_the_hint_silences_the_triggers(flux: Fluxbase, role: Role) -> None:
    user = flux.user(seal(OLD, "totp"))
    flux.rows(f'GRANT service_role TO {role.name}; GRANT CREATE ON DATABASE "{database_name(flux)}" TO {role.name}')
    stamp = flux.value("SELECT updated_at FROM auth.users WHERE id = %s", user)
    carry_out(flux, refused(flux, role).hint, "GRANT SET ON PARAMETER")
    assert flux.run(database=role.database).total.updated == 1
    assert flux.value("SELECT updated_at FROM auth.users WHERE id = %s", user) == stamp


def test_every_missing_privilege_is_named_as_in_a_grant(flux: Fluxbase, role: Role) -> None:
    flux.secrets(2)
    flux.rows(f"ALTER ROLE {role.name} BYPASSRLS; GRANT SET ON PARAMETER session_replication_role TO {role.name}")
    may_write(flux, role)
    flux.rows(f"REVOKE UPDATE ON auth.users, functions.secrets FROM {role.name}")
    error = refused(flux, role)
    assert "lacks 2 privileges" in error.message
    assert "UPDATE (totp_secret) ON auth.users" in (error.hint or "")
    assert "UPDATE (encrypted_value) ON functions.secrets" in (error.hint or "")
    assert flux.audit(database=role.database).scanned == 2
    carry_out(flux, error.hint, "GRANT UPDATE")
    assert flux.run(database=role.database).total.updated == 2


def test_a_role_without_any_privilege_gets_a_list_of_all_that_it_needs(flux: Fluxbase, role: Role) -> None:
    flux.secrets(2)
    flux.rows(f"ALTER ROLE {role.name} BYPASSRLS; GRANT SET ON PARAMETER session_replication_role TO {role.name}")
    flux.rows(f'GRANT CREATE ON DATABASE "{database_name(flux)}" TO {role.name}')
    carry_out(flux, refused(flux, role).hint, "GRANT")
    assert flux.run(database=role.database).total.updated == 2


@pytest.mark.parametrize("way", ["grant", "on its behalf"])
def test_a_role_that_cannot_create_the_schema_gets_sql_that_helps(flux: Fluxbase, role: Role, way: str) -> None:
    flux.secrets(3)
    flux.rows(f"ALTER ROLE {role.name} BYPASSRLS; GRANT SET ON PARAMETER session_replication_role TO {role.name}")
    may_write(flux, role)
    flux.rows(f'REVOKE CREATE ON DATABASE "{database_name(flux)}" FROM {role.name}')
    error = refused(flux, role)
    assert "fluxbase_rotation" in error.message
    assert error.hint is not None
    if way == "grant":
        carry_out(flux, error.hint, "GRANT CREATE ON DATABASE")
    else:
        script = error.hint[error.hint.index("CREATE SCHEMA fluxbase_rotation AUTHORIZATION") :]
        with flux.connect() as connection:
            connection.execute(script.encode())
    report = flux.run(database=role.database)
    assert (report.state, report.total.updated) == ("completed", 3)


# --- the tables ---------------------------------------------------------------------------------------------------


def drop(flux: Fluxbase, *tables: str) -> None:
    for table in tables:
        flux.rows(f"DROP TABLE {table} CASCADE")


def test_a_missing_optional_table_is_reported_and_the_others_are_done(flux: Fluxbase) -> None:
    flux.secrets(2)
    drop(flux, "branching.github_config", "auth.oauth_tokens")
    report = flux.run()
    assert report.total.updated == 2
    for table in ("branching.github_config", "auth.oauth_tokens"):
        assert any(table in warning and "not there" in warning for warning in report.warnings)
        assert not any(location.startswith(table) for location in report.locations)


def test_a_missing_column_is_reported_and_the_others_are_done(flux: Fluxbase) -> None:
    flux.token(seal(OLD, "access"))
    flux.rows("ALTER TABLE auth.oauth_tokens DROP COLUMN id_token")
    report = flux.run()
    assert report.total.updated == 1
    assert any("auth.oauth_tokens.id_token" in warning for warning in report.warnings)


def test_a_database_with_the_history_but_without_the_secrets_is_not_a_fluxbase_database(flux: Fluxbase) -> None:
    drop(flux, "functions.secrets")
    assert "functions.secrets is missing" in refused(flux).message


def test_a_database_without_any_sealed_table_is_refused_and_not_reported_as_clean(flux: Fluxbase) -> None:
    drop(flux, *TABLES)
    assert "none of Fluxbase's sealed tables" in refused(flux).message
    with pytest.raises(PreflightRefusedError, match="none of Fluxbase's sealed tables"):
        flux.audit(1)
    with pytest.raises(PreflightRefusedError, match="none of Fluxbase's sealed tables"):
        flux.run(dry_run=True)


def make_foreign(flux: Fluxbase, table: str) -> None:
    """Make a foreign table over a wrapper without a handler: touching its rows is an error."""
    drop(flux, table)
    flux.rows("CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing")
    flux.rows(f"CREATE FOREIGN TABLE {table} (id uuid NOT NULL, totp_secret text) SERVER elsewhere")


def test_a_foreign_table_is_reported_and_never_touched(flux: Fluxbase) -> None:
    flux.secrets(2)
    make_foreign(flux, "auth.users")
    report = flux.run()
    assert report.total == Counts(scanned=2, re_encrypted=2, updated=2)
    assert any("auth.users: it is a foreign table" in warning for warning in report.warnings)
    assert flux.audit(1).found == 0


def test_a_database_with_only_foreign_tables_is_not_a_success(flux: Fluxbase) -> None:
    drop(flux, *(table for table in TABLES if table != "auth.users"))
    make_foreign(flux, "auth.users")
    assert "none of Fluxbase's sealed tables" in refused(flux).message


def test_a_view_instead_of_a_table_is_refused(flux: Fluxbase) -> None:
    flux.rows("ALTER TABLE branching.github_config RENAME TO moved")
    flux.rows("CREATE VIEW branching.github_config AS SELECT * FROM branching.moved")
    assert "branching.github_config is not a table" in refused(flux).message


def test_a_table_without_its_primary_key_is_refused(flux: Fluxbase) -> None:
    flux.rows("ALTER TABLE branching.github_config DROP CONSTRAINT github_config_pkey")
    error = refused(flux)
    assert "no primary key" in error.message
    carry_out(flux, error.hint, "ALTER TABLE")
    assert flux.run().state == "completed"


@pytest.mark.parametrize("mode", ["ALWAYS", "REPLICA"])
def test_a_trigger_that_cannot_be_silenced_is_refused_until_it_is_accepted(flux: Fluxbase, mode: str) -> None:
    row = flux.github(seal(OLD, "hook"))
    flux.rows(f"ALTER TABLE branching.github_config ENABLE {mode} TRIGGER github_config_updated_at")
    stamp = flux.value("SELECT updated_at FROM branching.github_config WHERE id = %s", row)
    assert "branching.github_config.github_config_updated_at" in refused(flux).message
    assert flux.run(dry_run=True).total.re_encrypted == 1
    report = flux.run(allow_triggers=True)
    assert (report.state, report.total.updated) == ("completed", 1)
    assert flux.value("SELECT updated_at FROM branching.github_config WHERE id = %s", row) > stamp


def test_a_trigger_that_an_update_of_our_columns_does_not_fire_is_ignored(flux: Fluxbase) -> None:
    flux.rows(
        "CREATE TRIGGER a BEFORE UPDATE OF name ON functions.secrets FOR EACH ROW"
        " EXECUTE FUNCTION platform.update_updated_at_column()"
    )
    flux.rows(
        "CREATE TRIGGER b BEFORE INSERT ON functions.secrets FOR EACH ROW"
        " EXECUTE FUNCTION platform.update_updated_at_column()"
    )
    flux.rows("ALTER TABLE functions.secrets ENABLE ALWAYS TRIGGER a")
    flux.rows("ALTER TABLE functions.secrets ENABLE ALWAYS TRIGGER b")
    flux.secrets(1)
    assert flux.run().total.updated == 1


def test_a_read_only_database_is_refused_for_a_job_and_good_for_an_audit(flux: Fluxbase) -> None:
    flux.secrets(2)
    flux.rows(f'ALTER DATABASE "{database_name(flux)}" SET default_transaction_read_only = on')
    with connect(flux.database) as connection:
        checks = [
            finding for finding in inspect(connection, write=True).findings if finding.status is CheckStatus.REFUSE
        ]
    assert [finding.check for finding in checks] == ["server"]
    assert "read-only" in refused(flux).message
    assert flux.audit(1).found == 2


def test_passed_checks_say_what_was_found(flux: Fluxbase) -> None:
    with connect(flux.database) as connection:
        preflight = inspect(connection, write=True)
    assert all(finding.status is not CheckStatus.REFUSE for finding in preflight.findings)
    assert any("8 tables with 10 sealed columns" in finding.message for finding in preflight.findings)
    assert {finding.check for finding in preflight.findings} >= {"server", "role", "privileges", "tables", "triggers"}


# --- the keys -----------------------------------------------------------------------------------------------------


def test_a_version_without_a_key_is_refused_before_anything_else(flux: Fluxbase) -> None:
    relations = flux.relations()
    for source, target in ((3, 2), (1, 3)):
        with pytest.raises(ConfigurationError, match="version 3 is not configured"):
            flux.run(source=source, target=target)
    assert flux.relations() == relations


def wrong_key(flux: Fluxbase, **options: Any) -> WrongKeyError:
    places, relations = flux.places(), flux.relations()
    with pytest.raises(WrongKeyError) as caught:
        flux.run(**options)
    assert (flux.places(), flux.relations()) == (places, relations)
    assert caught.value.exit_code == 6
    assert "--accept-undecryptable" in (caught.value.hint or "")
    return caught.value


def test_a_wrong_old_key_stops_the_run_before_the_first_write(flux: Fluxbase) -> None:
    flux.secrets(30, THIRD)
    message = wrong_key(flux).message
    assert "30 of 30 sampled values of functions.secrets.encrypted_value open under no configured key" in message
    assert "neither the key of version 1 nor that of version 2 opened any" in message
    assert wrong_key(flux, dry_run=True).message == message


@pytest.mark.parametrize(
    ("rows", "who"),
    [
        ({OLD: 3}, "the key of version 1 opened 3, that of version 2 none"),
        ({NEW: 3}, "the key of version 2 opened 3, the key of version 1 opened none"),
        ({OLD: 2, NEW: 3}, "the key of version 1 opened 2, that of version 2 opened 3"),
    ],
)
def test_the_message_says_which_key_opened_what(flux: Fluxbase, rows: dict[bytes, int], who: str) -> None:
    flux.secrets(15, THIRD)
    for key, number in rows.items():
        flux.secrets(number, key)
    assert who in wrong_key(flux).message


def test_one_location_under_an_unknown_key_is_enough(flux: Fluxbase) -> None:
    flux.secrets(200)
    for _ in range(12):
        flux.user(seal(STRANGER, "totp"))
    assert "auth.users.totp_secret" in wrong_key(flux).message


def test_the_operator_can_accept_it_and_the_values_are_listed_and_left_as_they_are(flux: Fluxbase) -> None:
    flux.secrets(20, STRANGER)
    flux.secrets(2)
    stored = flux.stored()
    report = flux.run(accept_undecryptable=True)
    assert (report.state, report.exit_code) == ("completed", ExitCode.UNDECRYPTABLE_LEFT)
    assert report.locations[SECRETS] == Counts(scanned=22, re_encrypted=2, updated=2, undecryptable=20)
    now = flux.stored()
    assert sum(now[spot] == stored[spot] for spot in stored) == 20


def test_fewer_than_ten_values_prove_no_wrong_key(flux: Fluxbase) -> None:
    flux.secrets(9, STRANGER)
    assert flux.run().total == Counts(scanned=9, undecryptable=9)


def test_ten_values_prove_a_wrong_key(flux: Fluxbase) -> None:
    flux.secrets(10, STRANGER)
    wrong_key(flux)


def test_exactly_half_of_the_values_prove_no_wrong_key(flux: Fluxbase) -> None:
    flux.secrets(10, STRANGER)
    flux.secrets(10)
    assert flux.run().total.undecryptable == 10


def test_damage_at_the_beginning_of_a_long_table_does_not_look_like_a_wrong_key(flux: Fluxbase) -> None:
    flux.secrets(400, STRANGER, first_id=0)
    flux.secrets(1200)
    assert flux.run(dry_run=True).total == Counts(scanned=1600, re_encrypted=1200, undecryptable=400)


def test_a_wrong_key_among_three_is_noticed_because_no_key_opens_the_values(flux: Fluxbase) -> None:
    flux.secrets(12, STRANGER)
    assert (
        "neither the other keys nor that of version 2 opened any"
        in wrong_key(flux, source=None, keys=KEYS_OF_THREE).message
    )
