"""Reading and writing the sealed columns of one table: the SQL of promise 1 (compare-and-set).

A row travels as the plain tuple that the driver made: `(tid, id, column, …[, user][, flag], size)`, with the tid as 6
bytes, ids as 16 bytes and texts as UTF-8 bytes. One table is one unit of work, whatever the number of its sealed
columns: a row is updated once. Where a table has one sealed text column and nothing else matters, its rows travel
packed (see `store/packed.py`).

Rows are read in the order in which they lie on disk, and written by their place there: on a million rows with random
uuids that takes half the time of a walk along the primary key, which touches a page for every row, twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, LiteralString, overload

from psycopg import sql

from fluxbase_cli.locations import Form, SealedColumn, SealedTable
from fluxbase_cli.store.connect import (
    Connection,
    TextArray,
    TextElements,
    TidArray,
    TidElements,
    UuidArray,
)
from fluxbase_cli.store.packed import Packed
from fluxbase_cli.store.places import NO_PAGES, Pages, Place, Stretch

Row = tuple[Any, ...]
Rows = Packed | Sequence[Row]

#: Where in a row its place, its id and its first sealed column stand, and its size in bytes of stored text.
TID, ID, FIRST, SIZE = 0, 1, 2, -1


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be in hand at once.

    Attributes:
        rows: rows in one batch's transaction.
        bytes: bytes of stored text in one batch; the first row always fits.
    """

    rows: int
    bytes: int


DEFAULT_LIMITS = Limits(rows=1_000, bytes=2 * 1024 * 1024)

#: Rows that are listed at once by who reads a stretch from its beginning to its end.
_LISTED_ROWS = 5_000
_PACKED_ROWS = 20_000
#: Rows that one statement lists packed for a pass that writes. While it runs its snapshot keeps what others have freed
#: meanwhile from being used again: in one go, the rows of a shard made the table of the benchmark grow by 14 to 16%.
_AT_A_TIME = 5_000
#: Values of rows with more stored text than this, in bytes, are not sent when many rows are listed at once.
_SMALL_BYTES = 256


@dataclass(frozen=True, slots=True)
class Old:
    """Only row versions from before the job began.

    A job's own new row versions must not be met again by its main pass, and those of other writers are the closing
    census's business.

    Attributes:
        began: transactions from this one on had not begun when the job did.
    """

    began: int


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
        oid: the relation's object id.
        keyed: whether the key names one row of the relation. Where it does not (a table that inherits, a partition
            whose key has more columns), only a row's place tells which row was written.
        surrogate: whether the key is no uuid, so that a digest of it stands for a row's id.
    """

    table: SealedTable
    schema: str
    name: str
    columns: tuple[SealedColumn, ...]
    user_column: str | None
    flag_column: str | None
    oid: int = 0
    keyed: bool = True
    surrogate: bool = False

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

    @property
    def key(self) -> sql.Composed:
        """The id of a row, as uuid."""
        column = sql.Identifier("t", self.table.key)
        return sql.SQL("md5({}::text)::uuid" if self.surrogate else "{}").format(column)

    def selected(self, *, small_only: bool = False) -> sql.Composed:
        """The columns of a row, in its order.

        Args:
            small_only: withhold (leave NULL) the sealed columns where the row's size is beyond `_SMALL_BYTES`.
        """
        parts: list[sql.Composable] = [sql.SQL("t.ctid"), sql.SQL("{} AS id").format(self.key)]
        for column in self.columns:
            reference: sql.Composable = sql.Identifier("t", column.name)
            if column.form is Form.JSON:
                reference = sql.SQL("{}::text").format(reference)
            if small_only:
                reference = sql.SQL("CASE WHEN {size} <= {small} THEN {column} END").format(
                    size=self.stored_bytes(), small=sql.Literal(_SMALL_BYTES), column=reference
                )
            parts.append(sql.SQL("{} AS {}").format(reference, sql.Identifier(column.name)))
        parts.extend(sql.Identifier("t", name) for name in (self.user_column, self.flag_column) if name)
        parts.append(self.stored_bytes())
        return sql.SQL(", ").join(parts)

    def holds_value(self) -> sql.Composed:
        """Whether a row holds anything to look at."""
        return sql.SQL("({})").format(
            sql.SQL(" OR ").join(
                sql.SQL("{} IS NOT NULL").format(sql.Identifier("t", column.name)) for column in self.columns
            )
        )

    @property
    def packable(self) -> bool:
        """Whether its rows may travel packed."""
        return len(self.columns) == 1 and not (self.holds_documents or self.user_column or self.flag_column)

    @property
    def holds_documents(self) -> bool:
        """Whether the sealed columns are JSON documents."""
        return any(column.form is Form.JSON for column in self.columns)

    def stored_bytes(self) -> sql.Composed:
        """A row's size without detoasting anything."""
        if self.holds_documents:
            # What is stored may be compressed a hundredfold, so no document counts as small.
            return sql.SQL("greatest({}, {})").format(self._sum("pg_column_size"), sql.Literal(_SMALL_BYTES + 1))
        return self._sum("octet_length")

    def _sum(self, measure: LiteralString) -> sql.Composed:
        return sql.SQL(" + ").join(
            sql.SQL("coalesce({}({}), 0)").format(sql.SQL(measure), sql.Identifier("t", column.name))
            for column in self.columns
        )


#: age() counts from the newest transaction, so it takes the wrap-around of the 32 bits that xmin shows. That is the
#: newest one at the first statement of a reading: a later statement sees some that are newer still. What seems to come
#: from a farther future is from before a wrap-around, and old.
_OLD = sql.SQL(" AND age(t.xmin) NOT BETWEEN -1000000 AND age(%(began)s::xid)")


class Reader:
    """Reads one table's sealed values; the same for text and for documents.

    Many rows are listed at once, but only with what is small; larger values are sent when their turn comes, so what is
    in hand stays small whatever a table holds.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.columns = shape.columns
        self._all = self._list(sql.SQL(""))
        self._old = self._list(_OLD)
        self._packed, self._packed_old = self._pack(sql.SQL("")), self._pack(_OLD)
        self._news = self._list(
            sql.SQL(" AND age(t.xmin) BETWEEN 0 AND age(%(since)s::xid) AND t.xmin <> ALL (%(ours)s::xid[])")
        )
        self._whole, self._there, self._again = (
            sql.SQL(statement).format(columns=shape.selected(), table=shape.identifier, key=shape.key).as_bytes(None)
            for statement in (
                "SELECT {columns} FROM ONLY {table} AS t WHERE t.ctid = ANY(%(tids)s)",
                "SELECT t.ctid FROM ONLY {table} AS t WHERE t.ctid = ANY(%(tids)s)",
                "SELECT {columns} FROM ONLY {table} AS t WHERE {key} = ANY(%(ids)s)",
            )
        )

    def _list(self, versions: sql.SQL) -> bytes:
        return (
            sql.SQL(
                "SELECT {columns} FROM ONLY {table} AS t "
                "WHERE t.ctid > %(after)s::tid AND t.ctid <= %(upto)s::tid AND {holds}{versions} LIMIT %(rows)s"
            )
            .format(
                columns=self.shape.selected(small_only=True),
                table=self.shape.identifier,
                holds=self.shape.holds_value(),
                versions=versions,
            )
            .as_bytes(None)
        )

    def _pack(self, versions: sql.SQL) -> bytes:
        column = sql.Identifier(self.columns[0].name)
        return (
            sql.SQL(
                # The last byte of the line on the page, which is the last part of a tid.
                "SELECT b.stride, array_send(array_agg(b.ctid)), array_send(array_agg(b.id)), "
                "array_send(array_agg(b.{column})), "
                "min(octet_length(b.{column})) = max(octet_length(b.{column})), count(b.{column}) = count(*) "
                "FROM (SELECT {columns}, get_byte(tidsend(t.ctid), 5) %% %(strides)s::integer AS stride "
                "FROM ONLY {table} AS t "
                "WHERE t.ctid > %(after)s::tid AND t.ctid <= %(upto)s::tid AND {holds}{versions} LIMIT %(rows)s"
                ") AS b GROUP BY b.stride"
            )
            .format(
                column=column,
                columns=self.shape.selected(small_only=True),
                table=self.shape.identifier,
                holds=self.shape.holds_value(),
                versions=versions,
            )
            .as_bytes(None)
        )

    def list_packed(
        self, connection: Connection, stretch: Stretch, most: int, *, strides: int = 1, began: int | None = None
    ) -> dict[int, Packed] | None:
        """List the first rows of a stretch, packed, in the order of their places; for a packable table.

        Args:
            connection: as for `list_rows`.
            stretch: where to read.
            most: how many rows at most; where fewer are returned the stretch ends with them.
            strides: into how many parts to divide them, by the lines on their pages.
            began: only row versions from before this transaction (see `Old`).

        Returns:
            The rows of each stride that has any; None where there are large values, whose rows don't travel packed.
        """
        arguments: dict[str, Any] = {"upto": str(stretch.upto), "strides": strides}
        statement = self._packed
        if began is not None:
            arguments["began"] = _xid(began)
            statement = self._packed_old
        listed: dict[int, list[Packed]] = defaultdict(list)
        after, left = stretch.after, most
        while left > 0:
            asked = left if began is None else min(left, _AT_A_TIME)
            arguments |= {"after": str(after), "rows": asked}
            found = connection.execute(statement, arguments, prepare=True, binary=True).fetchall()
            if not all(whole for *_, whole in found):
                return None
            read = {stride: Packed.of(tids, ids, texts, equal=equal) for stride, tids, ids, texts, equal, _ in found}
            for stride, rows in read.items():
                listed[stride].append(rows)
            number = sum(map(len, read.values()))
            if number < asked:
                break
            left -= number
            after = max(map(last_place, read.values()))
        return {stride: Packed.joined(parts) for stride, parts in listed.items()}

    def list_rows(self, connection: Connection, stretch: Stretch, most: int, versions: Versions = None) -> list[Row]:
        """List the first rows of a stretch, in the order of their places.

        Args:
            connection: inside a transaction that `begin_reading` or `begin_snapshot` opened.
            stretch: where to read.
            most: how many rows at most; where fewer are returned the stretch ends with them.
            versions: which row versions to read; all that are visible when None.

        Returns:
            The rows; of large ones the values are withheld, see `complete`.
        """
        arguments: dict[str, Any] = {"after": str(stretch.after), "upto": str(stretch.upto), "rows": most}
        match versions:
            case None:
                cursor = connection.execute(self._all, arguments, prepare=True, binary=True)
            case Old(began):
                arguments["began"] = _xid(began)
                cursor = connection.execute(self._old, arguments, prepare=True, binary=True)
            case News(since, ours):
                arguments |= {"since": _xid(since), "ours": ours}
                # Not prepared: only a plan made for these values can hash the list of transactions.
                cursor = connection.execute(self._news, arguments, prepare=False, binary=True)
        return cursor.fetchall()

    def complete(self, connection: Connection, rows: Rows) -> Rows:
        """Read what was withheld of rows that were listed.

        Args:
            connection: inside a transaction as for `list_rows`.
            rows: no more than may be in hand at once, see `fitting`.

        Returns:
            The rows; those that are no longer at their place are missing.
        """
        if isinstance(rows, Packed) or not withheld(rows):
            return rows
        places = TidArray([row[TID] for row in rows if row[SIZE] > _SMALL_BYTES])
        found = connection.execute(self._whole, {"tids": places}, prepare=True, binary=True).fetchall()
        whole: dict[bytes, Row] = {row[TID]: row for row in found}
        completed = (row if row[SIZE] <= _SMALL_BYTES else whole.get(row[TID]) for row in rows)
        # Another row may have come to the place.
        return [new for row, new in zip(rows, completed, strict=True) if new is not None and new[ID] == row[ID]]

    def unseen(self, earlier: Connection, rows: Rows) -> Rows:
        """Those of some rows that an earlier snapshot does not show.

        Whole transactions can't be told apart instead: a row that was written behind a savepoint bears a number that no
        snapshot lists.

        Args:
            earlier: in a transaction with a snapshot that was not let go when that of the rows was taken. So a row
                version that it shows was not removed, and is the one that is at its place now.
            rows: of a later snapshot.
        """
        listed = [unpacked(rows, index) for index in range(len(rows))] if isinstance(rows, Packed) else rows
        places = TidArray([row[TID] for row in listed])
        seen = {row[0] for row in earlier.execute(self._there, {"tids": places}, binary=True).fetchall()}
        return [row for row in listed if row[TID] not in seen]

    def reread(self, connection: Connection, ids: Sequence[bytes]) -> list[Row]:
        """Read rows again by their ids; those that are gone are missing."""
        return connection.execute(self._again, {"ids": UuidArray(ids)}, binary=True).fetchall()


_SIZE_OF = itemgetter(SIZE)


def unpacked(rows: Packed, index: int) -> Row:
    """One of packed rows as a tuple."""
    text = rows.text(index)
    return rows.tid(index), rows.id(index), text, len(text)


class PackedEdits(Sequence[Edit]):
    """Packed rows with their new values; made into the tuples of `Edit` one by one, when somebody asks for them.

    Args:
        rows: the rows.
        new: what each shall hold instead.
    """

    def __init__(self, rows: Packed, new: Sequence[bytes]) -> None:
        self.rows = rows
        self.new = new

    def __len__(self) -> int:
        return len(self.new)

    @overload
    def __getitem__(self, index: int) -> Edit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Edit]: ...
    def __getitem__(self, index: int | slice) -> Edit | Sequence[Edit]:
        if isinstance(index, slice):
            return PackedEdits(self.rows[index], self.new[index])
        if not -len(self) <= index < len(self):
            raise IndexError
        return unpacked(self.rows, index), (self.new[index],)


def first_place(rows: Rows) -> Place:
    """Where the first of some rows lies."""
    return Place.of(rows.tid(0) if isinstance(rows, Packed) else rows[0][TID])


def last_place(rows: Rows) -> Place:
    """Where the last of some rows lies."""
    return Place.of(rows.tid(-1) if isinstance(rows, Packed) else rows[-1][TID])


def withheld(rows: Rows) -> bool:
    """Whether values of rows that were listed are missing."""
    if isinstance(rows, Packed):
        return False
    return max(map(_SIZE_OF, rows), default=0) > _SMALL_BYTES


def fitting(rows: Rows, limits: Limits) -> Rows:
    """As many of the first rows as may be in hand at once, one at least."""
    if isinstance(rows, Packed):
        return rows[: min(limits.rows, max(1, limits.bytes // _SMALL_BYTES))]
    first = rows[: limits.rows]
    if len(first) * _SMALL_BYTES <= limits.bytes and not withheld(first):
        return first
    running = 0
    for number, row in enumerate(first):
        running += row[SIZE]
        if running > limits.bytes:
            return first[: max(number, 1)]
    return first


class Portions:
    """The rows of a stretch from its beginning to its end, as many at a time as may be in hand.

    Args:
        reader: reads them.
        stretch: where they are.
        limits: how much may be in hand.
        versions: which row versions; all that are visible when None.
    """

    def __init__(self, reader: Reader, stretch: Stretch, limits: Limits, versions: Versions = None) -> None:
        self._reader = reader
        self._stretch: Stretch | None = stretch
        self._limits = limits
        self._versions = versions
        self._packed = versions is None and reader.shape.packable
        self._listed: Rows = ()

    def next_rows(self, connection: Connection) -> Rows | None:
        """The next rows; None at the end. Where it fails, it can be called again over another connection.

        Args:
            connection: inside a transaction as for `Reader.list_rows`, in the same snapshot each time.
        """
        if not self._listed:
            if self._stretch is None:
                return None
            self._listed, ended = self._list(connection, self._stretch)
            self._stretch = None if ended else Stretch(last_place(self._listed), self._stretch.upto)
        rows = fitting(self._listed, self._limits)
        completed = self._reader.complete(connection, rows)
        self._listed = self._listed[len(rows) :]
        return completed

    def _list(self, connection: Connection, stretch: Stretch) -> tuple[Rows, bool]:
        if self._packed:
            strides = self._reader.list_packed(connection, stretch, _PACKED_ROWS)
            if strides is not None:
                packed: Rows = strides.get(0, ())
                return packed, len(packed) < _PACKED_ROWS
            # Where there is one large value there are more.
            self._packed = False
        rows = self._reader.list_rows(connection, stretch, _LISTED_ROWS, self._versions)
        return rows, len(rows) < _LISTED_ROWS


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
        arrays: list[sql.Composable] = [sql.SQL("%(tids)s")]
        aliases: list[sql.Composable] = [sql.SQL("tid")]
        for number in range(len(names)):
            arrays += [sql.Placeholder(f"old{number}"), sql.Placeholder(f"new{number}")]
            aliases += [sql.Identifier(f"old{number}"), sql.Identifier(f"new{number}")]
        # Compare-and-set, on the text that was read, of every sealed column of the row and not only of those that get
        # a new value: our row version hides the row from the closing census, so nothing in it may have moved unseen.
        # The id is not compared: no two seals are alike, and should a copy of the row have come to its place, what was
        # sealed anew is the copy's secret too. An edit holds a value, so a single column is never NULL.
        equal = sql.SQL("=" if len(names) == 1 else "IS NOT DISTINCT FROM")
        unmoved: list[sql.Composable] = [
            sql.SQL("{} {} {}").format(sql.Identifier("t", name), equal, sql.Identifier("u", f"old{number}"))
            for number, name in enumerate(names)
        ]
        if self.shape.user_column:
            # The user decides which key the new value was sealed under.
            arrays.append(sql.SQL("%(users)s"))
            aliases.append(sql.SQL("owner"))
            unmoved.append(
                sql.SQL("{} IS NOT DISTINCT FROM u.owner").format(sql.Identifier("t", self.shape.user_column))
            )
        # The count comes before the join, and is of no interest: a page is pruned (freed of row versions that nobody
        # can see any more) when it is scanned, not when a row of it is written by its place.
        return sql.SQL(
            "UPDATE ONLY {table} AS t SET {sets} FROM unnest({arrays}) AS u ({aliases}) "
            "WHERE t.ctid = u.tid AND {unmoved} "
            "AND (SELECT count(*) FROM ONLY {table} AS v "
            "WHERE v.ctid >= %(first)s::tid AND v.ctid <= %(last)s::tid) >= 0"
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

    def write(self, connection: Connection, edits: Sequence[Edit], tidied: Pages = NO_PAGES) -> int:
        """Write the edits whose rows still hold what was read.

        Args:
            connection: inside a transaction (see `begin_batch`).
            edits: rows with the new values of all their sealed columns.
            tidied: where the server shall first free what nobody can see any more, so that the rows find room there.

        Returns:
            How many rows were written; the others belong to another writer now.
        """
        return connection.execute(self._update, self._arguments(edits, tidied), prepare=True).rowcount

    def write_by_place(self, connection: Connection, edits: Sequence[Edit]) -> set[bytes]:
        """As `write`, for relations whose rows have no key of their own.

        Returns:
            The places that the rows written had before.
        """
        statement = self._update + b" RETURNING u.tid"
        arguments = self._arguments(edits, NO_PAGES)
        return {row[0] for row in connection.execute(statement, arguments, binary=True).fetchall()}

    def _arguments(self, edits: Sequence[Edit], tidied: Pages) -> dict[str, Any]:
        arguments: dict[str, Any] = {"first": str(tidied.first), "last": str(tidied.last)}
        if isinstance(edits, PackedEdits):
            rows = edits.rows
            arguments |= {
                "tids": TidElements(len(rows), rows.tids),
                "old0": TextElements(len(rows), rows.elements),
                "new0": TextArray(edits.new),
            }
            return arguments
        arguments["tids"] = TidArray([row[TID] for row, _ in edits])
        for number in range(len(self.columns)):
            arguments[f"old{number}"] = TextArray([row[FIRST + number] for row, _ in edits])
            arguments[f"new{number}"] = TextArray([new[number] for _, new in edits])
        user = self.shape.user_index
        if user is not None:
            arguments["users"] = UuidArray([row[user] for row, _ in edits])
        return arguments
