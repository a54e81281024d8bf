"""Reading and writing the sealed columns of one table: the SQL of promise 1 (compare-and-set).

A row travels as the plain tuple that the driver made: `(tid, id, column, …[, user][, flag])`, with the tid as 6 bytes,
ids as 16 bytes and texts as UTF-8 bytes. One table is one unit of work, whatever the number of its sealed columns: a
row is updated once.

Rows are read in the order in which they lie on disk, and written by their place there: on a million rows with random
uuids that takes half the time of a walk along the primary key, which touches a page for every row, twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import sql

from fluxbase_cli.locations import Form, SealedColumn, SealedTable
from fluxbase_cli.store.connect import Connection, TextArray, TidArray, UuidArray

Row = tuple[Any, ...]

#: Where in a row its place, its id and its first sealed column stand.
TID, ID, FIRST = 0, 1, 2


class Place(NamedTuple):
    """A row version's place in its table: PostgreSQL's `tid`."""

    block: int
    line: int

    @classmethod
    def of(cls, row: Row) -> Place:
        """The place of a row as it was read."""
        tid: bytes = row[TID]
        return cls(int.from_bytes(tid[:4], "big"), int.from_bytes(tid[4:], "big"))

    @classmethod
    def unpack(cls, number: int) -> Place:
        """The inverse of `packed`."""
        return cls(number >> 16, number & 0xFFFF)

    @property
    def packed(self) -> int:
        """The place as one number, in the same order."""
        return self.block << 16 | self.line

    def __str__(self) -> str:
        return f"({self.block},{self.line})"


LAST_PLACE = Place(0xFFFFFFFE, 0xFFFF)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a table on disk: the rows behind `after`, up to and including `upto`."""

    after: Place
    upto: Place


WHOLE = Stretch(Place(0, 0), LAST_PLACE)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be in hand at once.

    Attributes:
        rows: rows in one batch's transaction.
        bytes: bytes of stored text in one read; the first row always fits.
    """

    rows: int
    bytes: int


DEFAULT_LIMITS = Limits(rows=1_000, bytes=2 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class Old:
    """Only row versions from before the job began, and of these one in `strides`.

    A job's own new row versions must not be met again by its main pass, and those of other writers are the closing
    census's business.

    When all rows of a page are updated in one transaction there is no room for their new versions, and each goes to
    another page, with a new entry in every index. So a batch takes every twelfth row of twelve times as many pages:
    when a later batch comes to a page, PostgreSQL can reuse what the earlier ones have freed there (a HOT update). Rows
    are told apart by their lines, so that each page's are spread evenly; by a hash of their ids, many found no room.

    Attributes:
        began: transactions from this one on had not begun when the job did.
        stride: which of the strides, from 0.
        strides: into how many the rows are divided, by the lines on their pages.
    """

    began: int
    stride: int
    strides: int


@dataclass(frozen=True, slots=True)
class News:
    """Only row versions that another writer has made since.

    A row version that our own batch wrote was reopened before it was written; one from before was judged by an earlier
    pass.

    Attributes:
        since: transactions below this one had ended when the earlier pass began.
        ours: our batches' transaction ids, in PostgreSQL's array notation.
    """

    since: int
    ours: str


Versions = Old | News | None


#: A row to write: as it was read, and what each of its sealed columns shall hold, in order (the text to store, or for a
#: document its `LeafEdit` list). A plain tuple, since one is made for every value.
Edit = tuple[Row, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a catalogue's table is really there.

    Attributes:
        table: the catalogue's table.
        schema, name: the relation that holds the rows: the table itself, or one of its partitions.
        columns: the sealed columns that are there.
        user_column, flag_column: the columns that help to judge them, where they are there.
    """

    table: SealedTable
    schema: str
    name: str
    columns: tuple[SealedColumn, ...]
    user_column: str | None
    flag_column: str | None

    @property
    def user_index(self) -> int | None:
        """Where in a row the user's id stands."""
        return FIRST + len(self.columns) if self.user_column else None

    @property
    def flag_index(self) -> int | None:
        """Where in a row the flag stands."""
        if not self.flag_column:
            return None
        return FIRST + len(self.columns) + (1 if self.user_column else 0)

    @property
    def relation(self) -> str:
        """The relation as `schema.name`."""
        return f"{self.schema}.{self.name}"

    def values_of(self, row: Row) -> Row:
        """The sealed columns of a row as it was read."""
        return row[FIRST : FIRST + len(self.columns)]

    @property
    def identifier(self) -> sql.Identifier:
        """The table's name for a statement."""
        return sql.Identifier(self.schema, self.name)

    def selected(self) -> sql.Composed:
        """The columns of a row, in its order."""
        parts: list[sql.Composable] = [sql.SQL("t.ctid"), sql.SQL("t.id")]
        for column in self.columns:
            reference = sql.Identifier("t", column.name)
            if column.form is Form.JSON:
                parts.append(sql.SQL("{}::text AS {}").format(reference, sql.Identifier(column.name)))
            else:
                parts.append(reference)
        parts.extend(sql.Identifier("t", name) for name in (self.user_column, self.flag_column) if name)
        return sql.SQL(", ").join(parts)

    def holds_value(self) -> sql.Composed:
        """Whether a row holds anything to look at."""
        return sql.SQL("({})").format(
            sql.SQL(" OR ").join(
                sql.SQL("{} IS NOT NULL").format(sql.Identifier("t", column.name)) for column in self.columns
            )
        )

    def stored_bytes(self) -> sql.Composed:
        """A row's size without detoasting anything."""
        return sql.SQL(" + ").join(
            sql.SQL("coalesce({}({}), 0)").format(
                sql.SQL("pg_column_size" if column.form is Form.JSON else "octet_length"),
                sql.Identifier("t", column.name),
            )
            for column in self.columns
        )


class Reader:
    """Reads one table's sealed values; the same for text and for documents."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.columns = shape.columns
        self._holds_documents = any(column.form is Form.JSON for column in shape.columns)
        self._all = self._select(sql.SQL("")).as_bytes(None)
        # age() counts from the newest transaction, so it takes the wrap-around of the 32 bits that xmin shows. What
        # seems to come from the future is from before a wrap-around, and old.
        self._old = self._select(
            sql.SQL(
                # The last byte of the line on the page, which is the last part of a tid (see tidsend in PostgreSQL's
                # src/backend/utils/adt/tid.c).
                " AND get_byte(tidsend(t.ctid), 5) %% %(strides)s::integer = %(stride)s::integer"
                " AND age(t.xmin) NOT BETWEEN 0 AND age(%(began)s::xid)"
            )
        ).as_bytes(None)
        self._news = self._select(
            sql.SQL(" AND age(t.xmin) BETWEEN 0 AND age(%(since)s::xid) AND t.xmin <> ALL (%(ours)s::xid[])")
        ).as_bytes(None)
        self._again = (
            sql.SQL("SELECT {columns} FROM {table} AS t WHERE t.id = ANY(%(ids)s)")
            .format(columns=shape.selected(), table=shape.identifier)
            .as_bytes(None)
        )

    def _select(self, versions: sql.SQL) -> sql.Composed:
        names: list[sql.Composable] = [sql.SQL("b.ctid"), sql.SQL("b.id")]
        names += [sql.Identifier("b", column.name) for column in self.columns]
        names += [sql.Identifier("b", name) for name in (self.shape.user_column, self.shape.flag_column) if name]
        # The running sum is taken inside, so that a row beyond the limit is never detoasted or sent. Its window has no
        # order of its own: the rows come as they lie on disk.
        return sql.SQL(
            "SELECT {names} FROM ("
            "SELECT {columns}, {size} AS row_bytes, sum({size}) OVER (ROWS UNBOUNDED PRECEDING) AS running "
            "FROM {table} AS t "
            "WHERE t.ctid > %(after)s::tid AND t.ctid <= %(upto)s::tid AND {holds}{versions} "
            "LIMIT %(rows)s"
            ") AS b WHERE b.running - b.row_bytes < %(bytes)s"
        ).format(
            names=sql.SQL(", ").join(names),
            columns=self.shape.selected(),
            size=self.shape.stored_bytes(),
            table=self.shape.identifier,
            holds=self.shape.holds_value(),
            versions=versions,
        )

    def read(
        self, connection: Connection, stretch: Stretch, limits: Limits, versions: Versions = None
    ) -> tuple[list[Row], bool]:
        """Read the next rows of a stretch, in the order of their places.

        Args:
            connection: inside a transaction that `begin_batch` or `begin_snapshot` opened.
            stretch: where to read.
            limits: how much to read at most.
            versions: which row versions to read; all that are visible when None.

        Returns:
            The rows, and whether the stretch surely ends with them.
        """
        arguments: dict[str, Any] = {
            "after": str(stretch.after),
            "upto": str(stretch.upto),
            "rows": limits.rows,
            "bytes": limits.bytes,
        }
        match versions:
            case None:
                cursor = connection.execute(self._all, arguments, prepare=True, binary=True)
            case Old(began, stride, strides):
                arguments |= {"began": _xid(began), "stride": stride, "strides": strides}
                cursor = connection.execute(self._old, arguments, prepare=True, binary=True)
            case News(since, ours):
                arguments |= {"since": _xid(since), "ours": ours}
                # Not prepared: only a plan made for these values can hash the list of transactions.
                cursor = connection.execute(self._news, arguments, prepare=False, binary=True)
        rows = cursor.fetchall()
        if not rows:
            return rows, True
        if len(rows) == limits.rows or self._holds_documents:
            return rows, False
        size = sum(len(value) for row in rows for value in self.shape.values_of(row) if value is not None)
        return rows, size < limits.bytes

    def reread(self, connection: Connection, ids: Sequence[bytes]) -> list[Row]:
        """Read rows again by their ids; those that are gone are missing."""
        return connection.execute(self._again, {"ids": UuidArray(ids)}, binary=True).fetchall()


def _xid(transaction: int) -> str:
    """The 32 bits of a transaction id that row versions carry."""
    return str(transaction % 2**32)


class TextStore(Reader):
    """A table whose sealed columns are text."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self._update = self._write_statement().as_bytes(None)

    def _write_statement(self) -> sql.Composed:
        names = [column.name for column in self.columns]
        arrays: list[sql.Composable] = [sql.SQL("%(tids)s, %(ids)s")]
        aliases: list[sql.Composable] = [sql.SQL("tid, id")]
        for number in range(len(names)):
            arrays += [sql.Placeholder(f"old{number}"), sql.Placeholder(f"new{number}")]
            aliases += [sql.Identifier(f"old{number}"), sql.Identifier(f"new{number}")]
        # Compare-and-set, on the text that was read, of every sealed column of the row and not only of those that get
        # a new value: our row version hides the row from the closing census, so nothing in it may have moved unseen.
        unmoved: list[sql.Composable] = [
            sql.SQL("{} IS NOT DISTINCT FROM {}").format(sql.Identifier("t", name), sql.Identifier("u", f"old{number}"))
            for number, name in enumerate(names)
        ]
        if self.shape.user_column:
            # The user decides which key the new value was sealed under.
            arrays.append(sql.SQL("%(users)s"))
            aliases.append(sql.SQL("owner"))
            unmoved.append(
                sql.SQL("{} IS NOT DISTINCT FROM u.owner").format(sql.Identifier("t", self.shape.user_column))
            )
        return sql.SQL(
            "UPDATE {table} AS t SET {sets} FROM unnest({arrays}) AS u ({aliases}) "
            "WHERE t.ctid = u.tid AND t.id = u.id AND {unmoved}"
        ).format(
            table=self.shape.identifier,
            sets=sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name), sql.Identifier("u", f"new{number}"))
                for number, name in enumerate(names)
            ),
            arrays=sql.SQL(", ").join(arrays),
            aliases=sql.SQL(", ").join(aliases),
            unmoved=sql.SQL(" AND ").join(unmoved),
        )

    def write(self, connection: Connection, edits: Sequence[Edit]) -> int:
        """Write the edits whose rows still hold what was read.

        Args:
            connection: inside a transaction (see `begin_batch`).
            edits: rows with the new values of all their sealed columns.

        Returns:
            How many rows were written; the others belong to another writer now.
        """
        arguments: dict[str, Any] = {
            "tids": TidArray([row[TID] for row, _ in edits]),
            "ids": UuidArray([row[ID] for row, _ in edits]),
        }
        for number in range(len(self.columns)):
            arguments[f"old{number}"] = TextArray([row[FIRST + number] for row, _ in edits])
            arguments[f"new{number}"] = TextArray([new[number] for _, new in edits])
        user = self.shape.user_index
        if user is not None:
            arguments["users"] = UuidArray([row[user] for row, _ in edits])
        return connection.execute(self._update, arguments, prepare=True).rowcount
