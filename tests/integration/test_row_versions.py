"""Which row versions a pass reads: those from before the job for the main pass, whatever comes while it reads."""

from __future__ import annotations

import pytest

from fluxbase_cli.store.connect import Access, begin_reading, connect_for_values
from fluxbase_cli.store.places import WHOLE
from fluxbase_cli.store.preflight import inspect
from fluxbase_cli.store.values import ID, Old, Reader
from tests.fixtures.fluxbase import NEW, Fluxbase, seal


@pytest.mark.parametrize("packed", [True, False])
def test_what_is_committed_between_two_statements_of_one_reading_is_not_old(flux: Fluxbase, *, packed: bool) -> None:
    """The second statement sees it, and PostgreSQL tells ages by the newest transaction at the first one."""
    changed, *rest = flux.secrets(5)
    began = int(flux.value("SELECT pg_snapshot_xmax(pg_current_snapshot())"))
    with connect_for_values(flux.database, Access()) as connection:
        reader = Reader(inspect(connection, write=True).shapes[0])

        def read() -> set[bytes]:
            if packed:
                (rows,) = (reader.list_packed(connection, WHOLE, 99, began=began) or {}).values()
                return {rows.id(index) for index in range(len(rows))}
            return {row[ID] for row in reader.list_rows(connection, WHOLE, 99, Old(began))}

        connection.execute(begin_reading(Access()))
        assert read() == {each.bytes for each in (changed, *rest)}
        for _ in range(3):
            flux.rows("UPDATE functions.secrets SET encrypted_value = %s WHERE id = %s", seal(NEW, "news"), changed)
        assert read() == {each.bytes for each in rest}
