"""A standby that is behind can be the next primary. So it keeps the key under which its values still are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fluxbase_cli.demo.server import EmbeddedServer
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.proof.standbys import examine_standbys
from fluxbase_cli.seal import fingerprint
from fluxbase_cli.store.connection import connect
from tests.faults.reader import read
from tests.fixtures.command import OLD_KEY, Outcome, Rotation, until
from tests.fixtures.embedded import PostgresServer
from tests.fixtures.fluxbase import Fluxbase, Role
from tests.fixtures.standby import NAME, Standby

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")
_NOW = ("keys", "destroy", "--key-version", "1", "--now", "--yes", "--reason", "test", "-o", "json")


@pytest.fixture
def moved(rotation: Rotation, standby: Standby) -> Rotation:
    """Every value was moved to version 2 while the standby was connected."""
    rotation.seed(60)
    assert rotation.command(*_RE_ENCRYPT).code == 0
    until(lambda: read(standby.url_of(rotation.url)).versions == {2: 60}, "the standby has seen it")
    return rotation


def refused(outcome: Outcome, *words: str) -> None:
    """Check that the request was refused, for these reasons and no others."""
    assert outcome.code == 3, outcome.all
    reasons = outcome.json["refused"]
    assert len(reasons) == len(words), reasons
    for word, reason in zip(words, reasons, strict=True):
        assert word in reason
        assert reason.endswith("(--skip-standbys continues anyway)")
    assert [each["kind"] for each in outcome.json["unexamined"]] == ["standby"] * len(words)


def last_event(rotation: Rotation, what: str) -> dict[str, Any]:
    schema = "fluxbase_keys" if what.startswith("key-") else "fluxbase_rotation"
    rows = rotation.rows(f"SELECT detail FROM {schema}.event WHERE what = %s ORDER BY id DESC LIMIT 1", what)
    return dict(rows[0][0])


def wait_until_gone(rotation: Rotation) -> None:
    until(lambda: rotation.value("SELECT count(*) FROM pg_stat_replication") == 0, "the primary has noticed")


def test_the_emergency_of_the_runbook_loses_no_value_that_a_standby_still_has_under_the_old_key(
    rotation: Rotation, standby: Standby
) -> None:
    """Re-encrypt, destroy at once, and promote the standby. Its replay was paused for a report."""
    rotation.seed(200)
    copy = standby.url_of(rotation.url)
    before = read(rotation.url)
    until(lambda: sum(read(copy).versions.values()) == 200, "the standby has all values")
    standby.pause_replay()
    assert rotation.command(*_RE_ENCRYPT).code == 0
    assert read(copy).versions == before.versions

    refused(rotation.command(*_NOW), f"standby {NAME}: it has replayed up to 0/")

    keys = rotation.command("keys", "list", "-o", "json").json["keys"]
    assert [key["state"] for key in keys] == ["enabled", "enabled"]
    standby.resume_replay()
    done = rotation.command(*_NOW, "--reason", "Key leaked")
    assert (done.code, done.json["state"], done.json["unexamined"]) == (0, "destroyed", []), done.all
    for event in ("key-disabled", "key-destroying", "key-destroyed"):
        detail = last_event(rotation, event)
        assert detail["lsn"] == done.json["lsn"]
        (there,) = detail["standbys"]
        assert there["name"] == NAME
        assert rotation.value("SELECT %s::pg_lsn >= %s::pg_lsn", there["replay_lsn"], detail["lsn"]) is True
        assert detail["skipped"] == []
    standby.promote()
    promoted = read(copy)
    assert (promoted.versions, promoted.lost) == ({2: 200}, ())
    assert promoted.plaintexts == before.plaintexts


def test_the_first_step_does_not_wait_for_standbys_and_records_where_they_are(
    moved: Rotation, standby: Standby
) -> None:
    standby.pause_replay()
    first = moved.command("keys", "destroy", "--key-version", "1")
    soon = moved.command.having(FLUXBASE_SECURITY_ENCRYPTION_KEY_DESTRUCTION_COOLING_OFF="0")

    assert first.code == 0, first.all
    assert [each["name"] for each in last_event(moved, "key-disabled")["standbys"]] == [NAME]
    refused(soon("keys", "destroy", "--key-version", "1", "--confirm", fingerprint(OLD_KEY), "-o", "json"), NAME)


@pytest.fixture
def slot(moved: Rotation, standby: Standby) -> Iterator[str]:
    """The standby's replication slot."""
    name = "standby_slot"
    moved.rows("SELECT pg_create_physical_replication_slot(%s, true)", name)
    standby.use_slot(name)
    until(lambda: moved.value("SELECT active FROM pg_replication_slots WHERE slot_name = %s", name), "it uses the slot")
    yield name
    moved.rows("SELECT pg_drop_replication_slot(%s)", name)


def test_a_stopped_standby_keeps_the_key_through_its_slot(moved: Rotation, standby: Standby, slot: str) -> None:
    moved.rows("DELETE FROM functions.secrets WHERE false")
    standby.stop()
    wait_until_gone(moved)

    refused(moved.command(*_NOW), f"slot {slot}: nobody is connected to it", f"standby {NAME}: it was connected on ")

    done = moved.command(*_NOW, "--skip-standbys")
    assert done.code == 0, done.all
    (skipped,) = last_event(moved, "key-destroyed")["skipped"]
    assert skipped["what"] == "standbys"
    assert [each["where"] for each in skipped["unexamined"]] == [f"slot {slot}", NAME]
    assert skipped["os_user"]
    assert skipped["db_user"] == moved.value("SELECT session_user::text")


def test_a_standby_that_was_seen_once_keeps_the_key_until_the_operator_says_that_it_is_gone_for_good(
    moved: Rotation, standby: Standby
) -> None:
    standby.stop()
    wait_until_gone(moved)

    refused(moved.command(*_NOW), f"standby {NAME}: it was connected on ")
    assert moved.command(*_NOW, "--skip-standbys").code == 0

    assert last_event(moved, "key-destroyed")["forgotten"] == [NAME]
    # The next key: nothing asks for the standby any more.
    further = moved.command.having(FLUXBASE_SECRET_KEY_3="cd" * 32)
    assert further("secrets", "re-encrypt", "--to-version", "3").code == 0
    done = further("keys", "destroy", "--key-version", "2", "--now", "--yes", "--reason", "test", "-o", "json")
    assert (done.code, done.json["refused"]) == (0, []), done.all


def test_on_a_standby_no_key_is_destroyed(moved: Rotation, standby: Standby) -> None:
    outcome = moved.command(*_NOW, FLUXBASE_DATABASE_URL=standby.url_of(moved.url))

    assert outcome.code == 3, outcome.all
    (reason,) = outcome.json["refused"]
    assert "this server is a standby, which is read-only" in reason


def test_a_role_that_cannot_see_the_position_of_standbys_gets_the_missing_grant_in_the_message(
    flux: Fluxbase, role: Role, standby: Standby
) -> None:
    with connect(role.database) as connection:
        (hidden,) = examine_standbys(connection, stop=Stop(), retry_limit_s=0.0).unexamined
    assert (hidden.where, f'GRANT pg_monitor TO "{role.name}"' in hidden.reason) == (NAME, True)
    flux.rows(f'GRANT pg_monitor TO "{role.name}"')
    with connect(role.database) as connection:
        assert examine_standbys(connection, stop=Stop()).unexamined == ()


def test_a_synchronous_standby_that_is_not_connected_keeps_the_key(
    moved: Rotation, postgres_server: PostgresServer
) -> None:
    settings = ("synchronous_standby_names = 'FIRST 1 (\"replica-1\", elsewhere)'", "synchronous_commit = 'local'")
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        for setting in settings:
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute("SELECT pg_reload_conf()")
        try:
            until(
                lambda: moved.value("SELECT current_setting('synchronous_standby_names')") != "", "the setting is read"
            )
            refused(moved.command(*_NOW), "standby elsewhere: synchronous_standby_names names it")
        finally:
            for setting in settings:
                connection.execute(f"ALTER SYSTEM RESET {setting.partition(' ')[0]}".encode())
            connection.execute("SELECT pg_reload_conf()")


def test_a_logical_slot_counts_in_databases_that_hold_values(tmp_path: Path) -> None:
    """Subscribers get the values as they were stored."""
    with EmbeddedServer.start(settings={"fsync": "off", "wal_level": "logical"}) as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE branch")
            connection.execute("CREATE DATABASE another")
        for database in ("postgres", "branch", "another"):
            with psycopg.connect(server.url(database), autocommit=True) as connection:
                connection.execute(f"SELECT pg_create_logical_replication_slot('of_{database}', 'pgoutput')".encode())
        with psycopg.connect(server.url(), autocommit=True) as connection:
            main = examine_standbys(connection, stop=Stop(), retry_limit_s=0.0)
            both = examine_standbys(connection, databases=["branch"], stop=Stop(), retry_limit_s=0.0)

    assert [each.where for each in main.unexamined] == ["logical slot of_postgres"]
    assert [each.where for each in both.unexamined] == ["logical slot of_branch", "logical slot of_postgres"]
