"""Only compare-and-set protects here: the newest row version has the ctid at which the row was read.

PostgreSQL frees the line of a row version that nobody can see any more, and a later version can get that line. The row
then has the ctid at which it was read. Only its contents show that another session has written it meanwhile.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import psycopg
import pytest

from fluxbase_cli.engine.events import Step
from fluxbase_cli.engine.outcome import JobReport
from tests.fixtures.command import until
from tests.fixtures.fluxbase import (
    ACCESS,
    COLUMNS,
    DOCUMENTS,
    IDENTITY,
    KEYS,
    OLD,
    REFRESH,
    SECRETS,
    SETTINGS,
    Fluxbase,
    Opened,
    Spot,
    Watching,
    seal,
)

#: More than a row in a row block can hold.
_LARGE = 400
#: So large that the value is stored outside its row.
_IN_TOAST = 60_000
#: More updates than a page needs until a line is used again.
_MOST_UPDATES = 9


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of table, and its column that a writer changes.

    Attributes:
        location: the column.
        size: bytes of the plaintexts.
        path: where the value is in a document.
    """

    location: str
    size: int = 20
    path: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """The table."""
        return self.location.rpartition(".")[0]

    @property
    def column(self) -> str:
        """The column's name in it."""
        return self.location.rpartition(".")[2]

    def insert(self, flux: Fluxbase) -> UUID:
        """Insert a row whose sealed columns are all under the old key."""
        sealed = self.sealed("ours")
        makers: dict[str, Callable[[], UUID]] = {
            "functions.secrets": lambda: flux.secret(sealed),
            "functions.secret_versions": lambda: flux.insert(
                self.table, secret_id=flux.secret(sealed), version=1, encrypted_value=sealed
            ),
            "app.settings": lambda: flux.setting(sealed),
            "platform.oauth_providers": lambda: flux.provider(sealed, encrypted=True),
            "platform.instance_settings": lambda: flux.document(sealed),
            "auth.oauth_tokens": lambda: flux.token(*(seal(OLD, "ours") for _ in range(3))),
            "auth.users": lambda: flux.user(sealed),
            "branching.github_config": lambda: flux.github(sealed),
        }
        return makers[self.table]()

    def sealed(self, text: str) -> str:
        """The text to store for a plaintext."""
        sealed = seal(OLD, text.ljust(self.size))
        return json.dumps({self.path[0]: sealed}) if self.path else sealed

    def opened(self, flux: Fluxbase, row: UUID) -> Opened:
        """The row's value, opened."""
        versions, text = flux.everything(KEYS)[Spot(self.location, row, self.path)]
        return Opened(versions, text.rstrip())


KINDS = [
    pytest.param(Kind(SECRETS), id="one column, row block"),
    pytest.param(Kind(SECRETS, _LARGE), id="one column, no row block"),
    *(pytest.param(Kind(location), id=location) for location in COLUMNS if location not in (SECRETS, DOCUMENTS)),
    pytest.param(Kind(DOCUMENTS, path=("token",)), id="documents"),
]


def ctid_of(flux: Fluxbase, table: str, row: UUID) -> str:
    return str(flux.value(f"SELECT ctid::text FROM {table} WHERE id = %s", row))


def vacuum(flux: Fluxbase, table: str) -> None:
    """Free the lines of all row versions that nobody can see."""
    flux.rows(f"VACUUM (INDEX_CLEANUP on, TRUNCATE off) {table}")


def move(flux: Fluxbase, table: str, row: UUID) -> str:
    """Move a new row away from its first line, which its index entries keep. Return its ctid."""
    flux.close()
    flux.rows(f"UPDATE {table} SET id = id WHERE id = %s", row)
    vacuum(flux, table)
    return ctid_of(flux, table, row)


def move_back(flux: Fluxbase, table: str, row: UUID, to: str, assignment: str, *values: object) -> None:
    """Update a row many times, until its newest version has this ctid."""
    for _ in range(_MOST_UPDATES):
        flux.rows(f"UPDATE {table} SET {assignment} WHERE id = %s", *values, row)
        vacuum(flux, table)
        if ctid_of(flux, table, row) == to:
            return
    pytest.fail(f"no version of the row has come back to {to}")


def run_while(flux: Fluxbase, table: str, action: Callable[[], object]) -> JobReport:
    """Run a job, and run an action when the rows of the table were read and are not written yet."""
    meddler = Watching(Step.READ, action, table=table)
    report = flux.run(observer=meddler)
    assert meddler.acted
    assert report.state == "completed"
    return report


@pytest.mark.parametrize("kind", KINDS)
def test_a_writer_wins_when_its_row_is_again_at_the_ctid_where_it_was_read(flux: Fluxbase, kind: Kind) -> None:
    row = kind.insert(flux)
    read_at = move(flux, kind.table, row)
    theirs = kind.sealed("theirs")

    run_while(
        flux,
        kind.table,
        lambda: move_back(flux, kind.table, row, read_at, f"{kind.column} = %s", theirs),
    )

    assert kind.opened(flux, row) == Opened((2,), b"theirs")


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_writer_a_row_that_was_moved_before_is_written_at_its_ctid(flux: Fluxbase, kind: Kind) -> None:
    """The opposite of the test above. It shows that there, only the writer's value prevents our write."""
    row = kind.insert(flux)
    move(flux, kind.table, row)

    report = run_while(flux, kind.table, lambda: None)

    assert report.locations[kind.location].moved == 0
    assert kind.opened(flux, row) == Opened((2,), b"ours")


def test_a_writer_that_changes_every_column_of_a_row_loses_none(flux: Fluxbase) -> None:
    row = flux.token(*(seal(OLD, "ours") for _ in range(3)))
    read_at = move(flux, "auth.oauth_tokens", row)
    theirs = [seal(OLD, text) for text in ("access", "refresh", "identity")]

    run_while(
        flux,
        "auth.oauth_tokens",
        lambda: move_back(
            flux, "auth.oauth_tokens", row, read_at, "access_token = %s, refresh_token = %s, id_token = %s", *theirs
        ),
    )

    opened = flux.everything()
    assert [opened[Spot(location, row, ())].text for location in (ACCESS, REFRESH, IDENTITY)] == [
        b"access",
        b"refresh",
        b"identity",
    ]


@pytest.mark.parametrize(
    ("column", "before", "after"),
    [
        pytest.param("id_token", None, seal(OLD, "theirs"), id="NULL before"),
        pytest.param("id_token", seal(OLD, "ours"), None, id="NULL now"),
    ],
)
def test_a_column_that_was_or_is_null_is_compared_too(
    flux: Fluxbase, column: str, before: str | None, after: str | None
) -> None:
    row = flux.token(seal(OLD, "access"), seal(OLD, "refresh"), before)
    read_at = move(flux, "auth.oauth_tokens", row)

    run_while(
        flux,
        "auth.oauth_tokens",
        lambda: move_back(flux, "auth.oauth_tokens", row, read_at, f"{column} = %s", after),
    )

    opened = flux.everything()
    assert opened[Spot(ACCESS, row, ())] == Opened((2,), b"access")
    if after is None:
        assert Spot(IDENTITY, row, ()) not in opened
    else:
        assert opened[Spot(IDENTITY, row, ())] == Opened((2,), b"theirs")


def test_a_setting_that_moved_to_another_user_keeps_its_text_even_if_only_the_user_changed(flux: Fluxbase) -> None:
    """Text and ctid are the same as when it was read. The value that we sealed for the first user is not written."""
    first, second = flux.user(), flux.user()
    text = seal(OLD, "the first user's", first)
    row = flux.setting(text, first)
    read_at = move(flux, "app.settings", row)

    report = run_while(
        flux, "app.settings", lambda: move_back(flux, "app.settings", row, read_at, "user_id = %s", second)
    )

    spot = Spot(SETTINGS, row, ())
    assert flux.stored()[spot] == (text, second)
    assert [Spot(entry.location, entry.id, entry.path) for entry in report.quarantine] == [spot]


@pytest.mark.parametrize("size", [pytest.param(20, id="row block"), pytest.param(_LARGE, id="no row block")])
def test_another_row_that_now_has_the_same_ctid_keeps_its_value(flux: Fluxbase, size: int) -> None:
    kind = Kind(SECRETS, size)
    row, other = kind.insert(flux), kind.insert(flux)
    read_at = ctid_of(flux, kind.table, row)
    theirs = UUID(int=7)

    def replace() -> None:
        flux.rows("DELETE FROM functions.secrets WHERE id = %s", row)
        vacuum(flux, kind.table)
        flux.secret(kind.sealed("theirs"), id=theirs)
        flux.close()
        assert ctid_of(flux, kind.table, theirs) == read_at

    flux.close()
    report = run_while(flux, kind.table, replace)

    assert kind.opened(flux, theirs) == Opened((2,), b"theirs")
    assert kind.opened(flux, other) == Opened((2,), b"ours")
    assert (len(flux.everything()), report.locations[SECRETS].re_encrypted) == (2, 2)


# --- a writer in the middle of our batch ------------------------------------------------------------------------------


@contextmanager
def committing_when_we_wait(flux: Fluxbase) -> Iterator[Callable[[str, object, object], None]]:
    """Offers an update in a transaction that another thread commits as soon as a session waits for its locks."""
    with psycopg.connect(flux.url) as writer:

        def commit_late() -> None:
            with psycopg.connect(flux.url, autocommit=True) as watching:
                waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
                until(lambda: watching.execute(waiting).fetchone() != (0,), "our batch waits for the writer")
            writer.commit()

        committing = threading.Thread(target=commit_late)

        def update(statement: str, *values: object) -> None:
            writer.execute(statement.encode(), values)
            committing.start()

        yield update
        committing.join()


LOCKED = [*KINDS, pytest.param(Kind(SECRETS, _IN_TOAST), id="in TOAST")]


@pytest.mark.parametrize("kind", LOCKED)
def test_a_writer_that_commits_a_text_of_the_same_length_while_our_update_waits_for_it_wins(
    flux: Fluxbase, kind: Kind
) -> None:
    """PostgreSQL then checks the conditions of our UPDATE again, on the row version of the writer (EvalPlanQual)."""
    row = kind.insert(flux)
    ours, theirs = kind.sealed("ours"), kind.sealed("theirs")
    assert len(ours) == len(theirs)
    flux.close()

    with committing_when_we_wait(flux) as update:
        report = run_while(
            flux,
            kind.table,
            lambda: update(f"UPDATE {kind.table} SET {kind.column} = %s WHERE id = %s", theirs, row),
        )

    assert kind.opened(flux, row) == Opened((2,), b"theirs")
    assert report.locations[kind.location].moved == 1


@pytest.mark.parametrize("size", [pytest.param(20, id="row block"), pytest.param(_LARGE, id="no row block")])
def test_a_row_that_a_rewrite_of_the_table_moved_to_the_ctid_of_another_keeps_its_value(
    flux: Fluxbase, size: int
) -> None:
    """Both rows were written by one transaction, and CLUSTER keeps its number: only their ids differ."""
    kind = Kind(SECRETS, size)
    first, second = (flux.secret(kind.sealed(text)) for text in ("first", "second"))
    flux.close()
    flux.rows("UPDATE functions.secrets SET description = CASE id WHEN %s THEN 'a' ELSE 'b' END", first)
    flux.rows("CREATE INDEX upward ON functions.secrets (description)")
    flux.rows("CREATE INDEX downward ON functions.secrets (description DESC)")
    flux.rows("CLUSTER functions.secrets USING upward")
    places = "SELECT ctid::text, xmin::text, id FROM functions.secrets ORDER BY ctid"
    (_, writer, _), (_, other_writer, _) = read_at = flux.rows(places)
    assert writer == other_writer

    def change_places() -> None:
        flux.rows("CLUSTER functions.secrets USING downward")
        assert flux.rows(places) == [(*at[:2], row[2]) for at, row in zip(read_at, reversed(read_at), strict=True)]

    run_while(flux, kind.table, change_places)

    assert kind.opened(flux, first) == Opened((2,), b"first")
    assert kind.opened(flux, second) == Opened((2,), b"second")
