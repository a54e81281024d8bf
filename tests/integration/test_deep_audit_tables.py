"""Which tables and columns does a deep audit search, and which does it leave out?"""

from __future__ import annotations

import json

from tests.fixtures.deep_audit import found, search
from tests.fixtures.fluxbase import NEW, OLD, Fluxbase, seal
from tests.fixtures.plugin import T, ask_as_superuser, put


def test_partitions_and_inheriting_tables_are_each_searched_separately(plugin: Fluxbase) -> None:
    ask_as_superuser(
        plugin,
        "CREATE TABLE plugin.part (n int, c text) PARTITION BY LIST (n)",
        "CREATE TABLE plugin.part_1 PARTITION OF plugin.part FOR VALUES IN (1)",
        "CREATE TABLE plugin.part_2 PARTITION OF plugin.part FOR VALUES IN (2) PARTITION BY LIST (n)",
        "CREATE TABLE plugin.part_2_2 PARTITION OF plugin.part_2 FOR VALUES IN (2)",
        "CREATE TABLE plugin.parent (n int, c text)",
        "CREATE TABLE plugin.child (more text) INHERITS (plugin.parent)",
    )
    plugin.rows("INSERT INTO plugin.part VALUES (1, %s), (2, %s)", seal(OLD, "1"), seal(OLD, "2"))
    plugin.rows("INSERT INTO plugin.parent VALUES (1, %s)", seal(OLD, "3"))
    plugin.rows("INSERT INTO plugin.child VALUES (1, %s, %s)", seal(OLD, "4"), seal(NEW, "5"))
    everything = {
        "plugin.part_1.c": {1: 1},
        "plugin.part_2_2.c": {1: 1},
        "plugin.parent.c": {1: 1},
        "plugin.child.c": {1: 1},
        "plugin.child.more": {2: 1},
    }
    assert found(search(plugin)) == everything
    # If a partitioned table is left out, its partitions are left out too, and nothing else.
    del everything["plugin.part_2_2.c"]
    assert found(search(plugin, skip=frozenset({"plugin.part_2"}))) == everything
    del everything["plugin.part_1.c"]
    assert found(search(plugin, skip=frozenset({"plugin.part.c"}))) == everything


def test_materialized_views_are_searched_and_views_and_foreign_tables_are_not(plugin: Fluxbase) -> None:
    put(plugin, "text", seal(OLD, "x"))
    ask_as_superuser(
        plugin,
        f"CREATE MATERIALIZED VIEW plugin.kept AS SELECT c FROM {T}",
        f"CREATE MATERIALIZED VIEW plugin.never_filled AS SELECT c FROM {T} WITH NO DATA",
        f"CREATE VIEW plugin.seen AS SELECT c FROM {T}",
        "CREATE FOREIGN DATA WRAPPER elsewhere",
        "CREATE SERVER elsewhere FOREIGN DATA WRAPPER elsewhere",
        "CREATE FOREIGN TABLE plugin.far (c text) SERVER elsewhere",
        f"DELETE FROM {T}",
    )
    findings = search(plugin)
    assert found(findings) == {"plugin.kept.c": {1: 1}}
    assert findings.unexamined == ()


def test_unusual_names_and_dropped_and_generated_columns_cause_no_error(plugin: Fluxbase) -> None:
    ask_as_superuser(
        plugin,
        'CREATE TABLE plugin."100%% ""sure"" %s" (gone text, "a ""b"" %%s %(x)s" text, "ключ" jsonb, "{c}" text,'
        " made text GENERATED ALWAYS AS ('made ' || \"{c}\") STORED)",
        'ALTER TABLE plugin."100%% ""sure"" %s" DROP COLUMN gone',
        'CREATE TABLE plugin."Ünïcode" ("Ä" text)',
    )
    texts = [seal(OLD, str(number)) for number in range(4)]
    with plugin.connect() as connection:
        connection.execute(
            'INSERT INTO plugin."100%%%% ""sure"" %%s" VALUES (%s, %s, %s)', [texts[0], json.dumps(texts[1]), texts[2]]
        )
        connection.execute('INSERT INTO plugin."Ünïcode" VALUES (%s)', [texts[3]])
    assert found(search(plugin)) == {
        'plugin.100%% "sure" %s.a "b" %%s %(x)s': {1: 1},
        'plugin.100%% "sure" %s.ключ': {1: 1},
        'plugin.100%% "sure" %s.{c}': {1: 1},
        'plugin.100%% "sure" %s.made': {1: 1},
        "plugin.Ünïcode.Ä": {1: 1},
    }


def test_known_columns_and_those_that_the_operator_leaves_out_are_not_searched(plugin: Fluxbase) -> None:
    put(plugin, "text", seal(OLD, "x"), columns=", d text")
    plugin.rows(f"UPDATE {T} SET d = %s", seal(NEW, "y"))
    assert found(search(plugin, known=frozenset({f"{T}.c"}))) == {f"{T}.d": {2: 3}}
    assert found(search(plugin, skip=frozenset({f"{T}.d"}))) == {f"{T}.c": {1: 1}}
    assert found(search(plugin, skip=frozenset({T}))) == {}
    assert search(plugin, skip=frozenset({T})).tables == search(plugin).tables - 1
    assert search(plugin, known=frozenset({f"{T}.c"})).columns == search(plugin).columns - 1


def test_the_progress_tables_are_not_searched(plugin: Fluxbase) -> None:
    for schema in ("fluxbase_rotation", "fluxbase_keys"):
        ask_as_superuser(plugin, f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.t (c text)")
        plugin.rows(f"INSERT INTO {schema}.t VALUES (%s)", seal(OLD, "x"))
    ask_as_superuser(plugin, "CREATE SCHEMA fluxbase_rotation_2", "CREATE TABLE fluxbase_rotation_2.t (c text)")
    plugin.rows("INSERT INTO fluxbase_rotation_2.t VALUES (%s)", seal(OLD, "x"))
    assert found(search(plugin)) == {"fluxbase_rotation_2.t.c": {1: 1}}
