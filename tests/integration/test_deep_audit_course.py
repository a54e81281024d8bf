"""A deep audit writes nothing, runs no functions of the database, stops on request, and survives a lost connection."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import psycopg
import pytest

from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.store import deep_reading
from tests.fixtures.command import until
from tests.fixtures.deep_audit import found, search
from tests.fixtures.fluxbase import OLD, Fluxbase, seal
from tests.fixtures.plugin import T, ask_as_superuser, put
from tests.fixtures.standby import Standby


def test_no_function_of_the_database_runs_with_our_privileges(plugin: Fluxbase) -> None:
    ask_as_superuser(
        plugin,
        "CREATE TYPE plugin.trap AS (a text)",
        "CREATE FUNCTION plugin.spring(plugin.trap) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE 'sprung'; END$$",
        "CREATE CAST (plugin.trap AS text) WITH FUNCTION plugin.spring(plugin.trap)",
        "CREATE FUNCTION plugin.spring(plugin.trap[]) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE 'sprung'; END$$",
        "CREATE CAST (plugin.trap[] AS text) WITH FUNCTION plugin.spring(plugin.trap[])",
    )
    put(plugin, "plugin.trap", seal(OLD, "x"), "ROW(%s)::plugin.trap", columns=", d plugin.trap[]")
    plugin.rows(f"UPDATE {T} SET d = ARRAY[c]")
    findings = search(plugin)
    assert (found(findings), findings.unexamined) == ({f"{T}.c": {1: 1}, f"{T}.d": {1: 1}}, ())


def test_nothing_is_written(full: Fluxbase) -> None:
    places, relations, transaction = full.places(), full.relations(), int(full.value("SELECT pg_current_xact_id()"))
    search(full)
    assert (full.places(), full.relations()) == (places, relations)
    assert int(full.value("SELECT pg_current_xact_id()")) == transaction + 1


def test_a_stop_ends_the_search_and_gives_no_proof(full: Fluxbase) -> None:
    stop = Stop()
    stop.request()
    findings = search(full, stop=stop)
    assert found(findings) == {}
    assert findings.unexamined


def test_a_stop_cancels_a_long_statement(plugin: Fluxbase) -> None:
    put(plugin, "text", seal(OLD, "x"))
    stop = Stop()
    with psycopg.connect(plugin.url) as locker:
        locker.execute(f"LOCK TABLE {T} IN ACCESS EXCLUSIVE MODE".encode())
        timer = threading.Timer(0.5, stop.request)
        timer.start()
        findings = search(plugin, stop=stop)
        timer.join()
    assert findings.unexamined


def test_a_lost_connection_is_opened_again(plugin: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxbase_cli.proof.columns._MAX_PIECE_BYTES", 8 * 1024)
    put(plugin, "text", seal(OLD, "first"))
    plugin.rows(f"INSERT INTO {T} SELECT n, repeat('a word ', 200) FROM generate_series(10, 300) AS n")
    plugin.rows(f"INSERT INTO {T} VALUES (1000, %s)", seal(OLD, "last"))
    real = deep_reading.DeepTable.stands_as_listed
    # Several threads search, and each takes one of these.
    left = iter(range(3))
    cut: list[bool] = []

    def cutting(table: deep_reading.DeepTable, connection: psycopg.Connection[Any]) -> bool:
        if table.relation.where == T and next(left, None) is not None:
            cut.append(plugin.value("SELECT pg_terminate_backend(%s)", connection.info.backend_pid))
        return real(table, connection)

    monkeypatch.setattr(deep_reading.DeepTable, "stands_as_listed", cutting)
    findings = search(plugin)
    assert len(cut) == 3
    assert (found(findings), findings.unexamined) == ({f"{T}.c": {1: 2}}, ())


def test_a_standby_can_be_searched(standby: Standby, postgres_server: Any) -> None:
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute("CREATE SCHEMA deep_census")
        try:
            connection.execute("CREATE TABLE deep_census.t (c text); CREATE UNLOGGED TABLE deep_census.u (c text)")
            connection.execute("INSERT INTO deep_census.t VALUES (%s)", [seal(OLD, "x")])
            row = connection.execute("SELECT pg_current_wal_lsn()").fetchone()
            assert row is not None
            until(partial(_replayed, standby, row[0]), "the standby shows the rows")
            findings = search(standby.url)
            assert found(findings) == {"deep_census.t.c": {1: 1}}
            assert [each.where for each in findings.unexamined] == ["deep_census.u"]
        finally:
            connection.execute("DROP SCHEMA deep_census CASCADE")


def _replayed(standby: Standby, lsn: str) -> bool:
    try:
        return bool(standby.value(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'"))
    except psycopg.OperationalError:
        # It begins to stream before it accepts connections.
        return False
