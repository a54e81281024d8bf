"""What does a deep audit report about tables that change after its snapshot?"""

from __future__ import annotations

import pytest

from fluxbase_cli.engine.events import BatchDone, Event
from fluxbase_cli.errors import DatabaseError
from tests.fixtures.deep_audit import exported, found, search
from tests.fixtures.fluxbase import OLD, Fluxbase, seal
from tests.fixtures.plugin import T, ask_as_superuser, put

REWRITES = {
    "written anew": f"ALTER TABLE {T} ADD COLUMN ref uuid DEFAULT gen_random_uuid()",
    "truncated": f"TRUNCATE {T}",
    "dropped": f"DROP TABLE {T}",
    "renamed": f"ALTER TABLE {T} RENAME TO t_2",
    "another in its place": f"ALTER TABLE {T} RENAME TO t_2; CREATE TABLE {T} (n int, c text)",
    "schema renamed": "ALTER SCHEMA plugin RENAME TO plugin_2",
    "column renamed": f"ALTER TABLE {T} RENAME COLUMN c TO d",
    "moved": f"ALTER TABLE {T} SET SCHEMA public",
}


@pytest.mark.parametrize("rewrite", REWRITES)
def test_a_table_that_changed_after_the_snapshot_is_reported_and_does_not_count_as_empty(
    plugin: Fluxbase, rewrite: str
) -> None:
    put(plugin, "text", seal(OLD, "x"))
    with exported(plugin) as snapshot:
        assert found(search(plugin, snapshot=snapshot)) == {f"{T}.c": {1: 1}}
        ask_as_superuser(plugin, REWRITES[rewrite])
        findings = search(plugin, snapshot=snapshot)
    assert [each.where for each in findings.unexamined] == [T]
    assert found(findings) == {}


def test_a_table_that_is_rewritten_between_two_pieces_is_reported(
    plugin: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxbase_cli.proof.columns._MAX_PIECE_BYTES", 8 * 1024)
    put(plugin, "text", seal(OLD, "first"))
    plugin.rows(f"INSERT INTO {T} SELECT n, repeat('a word ', 200) FROM generate_series(10, 500) AS n")
    plugin.rows(f"INSERT INTO {T} VALUES (1000, %s)", seal(OLD, "last"))

    class Rewriting:
        done = 0

        def notify(self, event: Event) -> None:
            if isinstance(event, BatchDone) and event.counts["pages"].scanned:
                self.done += 1
                if self.done == 1:
                    ask_as_superuser(plugin, f"ALTER TABLE {T} ADD COLUMN ref uuid DEFAULT gen_random_uuid()")

    findings = search(plugin, workers=1, observer=Rewriting())
    assert found(findings) == {f"{T}.c": {1: 1}}
    assert [each.where for each in findings.unexamined] == [T]


def test_rows_from_after_the_snapshot_are_not_searched(plugin: Fluxbase) -> None:
    put(plugin, "text", seal(OLD, "x"))
    with exported(plugin) as snapshot:
        plugin.rows(f"INSERT INTO {T} VALUES (9, %s)", seal(OLD, "y"))
        plugin.rows(f"DELETE FROM {T} WHERE n = 2")
        ask_as_superuser(plugin, "CREATE TABLE plugin.later (c text)")
        assert found(search(plugin, snapshot=snapshot)) == {f"{T}.c": {1: 1}}


def test_a_lost_snapshot_ends_the_search(plugin: Fluxbase) -> None:
    with exported(plugin) as snapshot:
        pass
    with pytest.raises(DatabaseError):
        search(plugin, snapshot=snapshot)
