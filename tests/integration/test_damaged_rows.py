"""Is one row that the database can't read listed, and is the rest of its table moved?"""

from __future__ import annotations

from uuid import UUID

import pytest
from psycopg.errors import DataCorrupted

from fluxbase_cli.errors import DatabaseError, ExitCode
from fluxbase_cli.store.limits import Limits
from tests.fixtures.damage import damaged, toast_of
from tests.fixtures.deep_audit import search
from tests.fixtures.fluxbase import FEW, OLD, Fluxbase, Watching, seal


def fill(flux: Fluxbase, characters: int) -> list[UUID]:
    """Rows with large values among small ones. The first page of TOAST belongs to the first large value."""
    rows = flux.secrets(3)
    rows += [flux.secret(seal(OLD, chr(64 + number) * characters)) for number in range(4)]
    return rows + flux.secrets(3)


@pytest.mark.parametrize(
    ("characters", "limits"),
    [
        pytest.param(9_000, FEW, id="values that are fetched one by one"),
        pytest.param(3_000, Limits(1000, 1 << 22), id="values that are listed with their rows"),
    ],
)
def test_a_row_that_can_not_be_read_is_listed_and_the_rest_is_moved(
    flux: Fluxbase, characters: int, limits: Limits
) -> None:
    rows = fill(flux, characters)
    with damaged(flux, toast_of("functions.secrets"), 0) as other:
        bad = [row for row in rows if not readable(other, row)]
        watching = Watching()
        report = other.run(limits=limits, observer=watching)
        assert report.total.updated == len(rows) - len(bad)
        assert report.state == "failed"
        places = [f"functions.secrets {row}" for row in sorted(bad)]
        assert [each.where for each in report.unexamined] == places
        assert report.error is not None
        assert f"damaged row functions.secrets {min(bad)}" in report.error
        assert any(f"going on without a row: damaged row functions.secrets {bad[0]}" in told for told in watching.told)
        audit = other.audit(1, limits=limits)
        assert (audit.found, audit.exit_code) == (0, ExitCode.UNDECRYPTABLE_LEFT)
        assert [each.where for each in audit.unexamined] == places
        assert [each.where for each in search(other).unexamined] == ["functions.secrets"]
        with other.connect() as connection:
            connection.execute("SET zero_damaged_pages = on")
            connection.execute("DELETE FROM functions.secrets WHERE id = ANY(%s)", [bad])
        again = other.run(limits=limits)
        assert (again.state, again.exit_code, again.unexamined) == ("completed", ExitCode.DONE, ())
        assert other.audit(1).exit_code == ExitCode.DONE


def readable(flux: Fluxbase, row: UUID) -> bool:
    try:
        flux.rows("SELECT md5(encrypted_value) FROM functions.secrets WHERE id = %s", row)
    except DataCorrupted:
        return False
    return True


def test_a_damaged_page_of_the_table_itself_ends_with_one_line_that_names_it(flux: Fluxbase) -> None:
    flux.secrets(3)
    number = flux.value("SELECT pg_relation_filenode('functions.secrets')")
    with damaged(flux, "'functions.secrets'::regclass", 0) as other:
        for command in (other.run, other.audit):
            with pytest.raises(
                DatabaseError, match=f"storage of the database is damaged: invalid page in block 0 .*{number}"
            ):
                command()
