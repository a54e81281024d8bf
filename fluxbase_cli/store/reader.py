"""Reads the sealed columns of one relation.

Rows are read in the order of their ctids. On a million rows with random uuids that takes half the time of reading in
the order of the primary key, which reads a page for every row, twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from fluxbase_cli.store.binary import TidArray, UuidArray
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.ctid import CtidRange
from fluxbase_cli.store.damaged_rows import DamagedRow, is_damage, read_readable
from fluxbase_cli.store.limits import SMALL_BYTES, Limits
from fluxbase_cli.store.relation import ID, SIZE, TID, Relation, Row
from fluxbase_cli.store.row_block import RowBlock
from fluxbase_cli.store.rows import NO_ROWS, RowList, Rows
from fluxbase_cli.store.transactions import TO_SAVEPOINT

_T = TypeVar("_T")

#: Rows that one statement lists for a reader of a whole range.
_LISTED_ROWS = 5_000


_PACKED_ROWS = 20_000


#: Rows that one statement lists as row blocks for a pass that writes. While the statement runs, its snapshot keeps room
#: that others have freed from being used again. With all rows of a shard in one statement, the table of the benchmark
#: grew by 14 to 16%.
_AT_A_TIME = 5_000


@dataclass(frozen=True, slots=True)
class BeforeJob:
    """Only row versions from before the job began.

    The main pass must not read the new row versions that the job itself writes. A catch-up pass reads those of other
    writers.

    Attributes:
        began: transactions from this one on began after the job.
    """

    began: int


@dataclass(frozen=True, slots=True)
class ChangedSince:
    """Only row versions that another writer has written since the earlier pass began.

    The values in a row version of our batches were opened again before they were written. Older row versions were
    processed by an earlier pass.

    Attributes:
        since: transactions below this one had ended when the earlier pass began.
        ours: the transaction ids of our batches, in PostgreSQL's array notation.
    """

    since: int
    ours: str


@dataclass(frozen=True, slots=True, repr=False)
class Holding:
    """Only rows whose values meet a condition.

    Attributes:
        condition: begins with AND. The table is called `t`.
        arguments: its parameters.
    """

    condition: sql.Composed
    arguments: Mapping[str, Any]


Versions = BeforeJob | ChangedSince | Holding | None


#: age() counts from the newest transaction, so it works across the wrap-around of the 32 bits of xmin. The newest
#: transaction is that at the first statement of the transaction. A later statement sees newer ones, with a negative
#: age. An age far below zero means a row version from before a wrap-around, so it is old.
_BEFORE_JOB = sql.SQL(" AND age(t.xmin) NOT BETWEEN -1000000 AND age(%(began)s::xid)")
_CHANGED_SINCE = sql.SQL(" AND age(t.xmin) BETWEEN 0 AND age(%(since)s::xid) AND t.xmin <> ALL (%(ours)s::xid[])")


class Reader:
    """Reads one table's sealed values, text or documents.

    Many rows are listed at once, but only with their small values. Larger values are fetched later, batch by batch. So
    little memory is used for any table.

    After an error that says that a row is damaged, it reads carefully: it lists rows without values, and then fetches
    the values that can be fetched.
    """

    def __init__(self, relation: Relation) -> None:
        self.relation = relation
        self.columns = relation.columns
        self._careful = False
        self._damaged: dict[bytes, DamagedRow] = {}
        self._list_rows()
        self._packed, self._packed_old = self._pack(sql.SQL("")), self._pack(_BEFORE_JOB)
        self._whole, self._there, self._again = (
            sql.SQL(statement)
            .format(columns=relation.selected(), table=relation.identifier, key=relation.key)
            .as_bytes(None)
            for statement in (
                "SELECT {columns} FROM ONLY {table} AS t WHERE t.ctid = ANY(%(tids)s)",
                "SELECT t.ctid FROM ONLY {table} AS t WHERE t.ctid = ANY(%(tids)s)",
                "SELECT {columns} FROM ONLY {table} AS t WHERE {key} = ANY(%(ids)s)",
            )
        )

    def read_with_care(self, read: Callable[[], _T], after_error: Callable[[], object]) -> _T:
        """Call a function that reads. If a row is damaged, read carefully from now on, and call it again.

        Args:
            read: reads through this reader.
            after_error: called before the second attempt.

        Raises:
            psycopg.Error: another error, or one that careful reading does not help against.
        """
        try:
            return read()
        except psycopg.Error as error:
            if self._careful or not is_damage(error):
                raise
        self._careful = True
        self._list_rows()
        after_error()
        return read()

    def take_damaged(self) -> list[DamagedRow]:
        """The damaged rows that were found since the last call."""
        found, self._damaged = list(self._damaged.values()), {}
        return found

    def _list_rows(self) -> None:
        self._all = self._list(sql.SQL(""))
        self._old = self._list(_BEFORE_JOB)
        self._changed_since = self._list(_CHANGED_SINCE)

    def _list(self, versions: sql.Composable) -> bytes:
        return (
            sql.SQL(
                "SELECT {columns} FROM ONLY {table} AS t "
                "WHERE t.ctid > %(after)s::tid AND t.ctid <= %(upto)s::tid AND {holds}{versions} LIMIT %(rows)s"
            )
            .format(
                columns=self.relation.selected(small_only=True, all_large=self._careful),
                table=self.relation.identifier,
                holds=self.relation.holds_value(),
                versions=versions,
            )
            .as_bytes(None)
        )

    def _pack(self, versions: sql.SQL) -> bytes:
        column = self.relation.named(self.columns[0].name)
        return (
            sql.SQL(
                # The last byte of the ctid, which is the last byte of the line on the page.
                "SELECT b.lane, array_send(array_agg(b.ctid)), array_send(array_agg(b.id)), "
                "array_send(array_agg(b.xmin)), array_send(array_agg(b.{column})), "
                "min(octet_length(b.{column})) = max(octet_length(b.{column})), count(b.{column}) = count(*) "
                "FROM (SELECT {columns}, get_byte(tidsend(t.ctid), 5) %% %(lanes)s::integer AS lane "
                "FROM ONLY {table} AS t "
                "WHERE t.ctid > %(after)s::tid AND t.ctid <= %(upto)s::tid AND {holds}{versions} LIMIT %(rows)s"
                ") AS b GROUP BY b.lane"
            )
            .format(
                column=column,
                columns=self.relation.selected(small_only=True),
                table=self.relation.identifier,
                holds=self.relation.holds_value(),
                versions=versions,
            )
            .as_bytes(None)
        )

    def list_blocks(
        self, connection: Connection, ctid_range: CtidRange, most: int, *, lanes: int = 1, began: int | None = None
    ) -> dict[int, RowBlock] | None:
        """List the first rows of a range as row blocks, in the order of their ctids; for a packable table.

        Args:
            connection: as for `list_rows`.
            ctid_range: where to read.
            most: how many rows at most; if fewer are returned, there are no more in the range.
            lanes: into how many lanes to divide them.
            began: only row versions from before this transaction (see `BeforeJob`).

        Returns:
            The rows of each lane that has any; None if there are large values, which don't fit into row blocks, or if
            it reads carefully.
        """
        if self._careful:
            return None
        arguments: dict[str, Any] = {"upto": str(ctid_range.upto), "lanes": lanes}
        statement = self._packed
        if began is not None:
            arguments["began"] = _xid(began)
            statement = self._packed_old
        listed: dict[int, list[RowBlock]] = defaultdict(list)
        after, left = ctid_range.after, most
        while left > 0:
            limit = left if began is None else min(left, _AT_A_TIME)
            arguments |= {"after": str(after), "rows": limit}
            found = connection.execute(statement, arguments, prepare=True, binary=True).fetchall()
            if not all(whole for *_, whole in found):
                return None
            read = {lane: RowBlock.of(*arrays, equal=equal) for lane, *arrays, equal, _ in found}
            for lane, rows in read.items():
                listed[lane].append(rows)
            number = sum(map(len, read.values()))
            if number < limit:
                break
            left -= number
            after = max(rows.last_ctid for rows in read.values())
        return {lane: RowBlock.joined(parts) for lane, parts in listed.items()}

    def list_rows(
        self, connection: Connection, ctid_range: CtidRange, most: int, versions: Versions = None
    ) -> list[Row]:
        """List the first rows of a range, in the order of their ctids.

        Args:
            connection: a connection in a transaction that `begin_reading` or `begin_snapshot` opened.
            ctid_range: where to read.
            most: how many rows at most; if fewer are returned, there are no more in the range.
            versions: which row versions to read; all that are visible when None.

        Returns:
            The rows. Values of large rows are not sent, see `complete`.
        """
        arguments: dict[str, Any] = {"after": str(ctid_range.after), "upto": str(ctid_range.upto), "rows": most}
        match versions:
            case None:
                cursor = connection.execute(self._all, arguments, prepare=True, binary=True)
            case BeforeJob(began):
                arguments["began"] = _xid(began)
                cursor = connection.execute(self._old, arguments, prepare=True, binary=True)
            case ChangedSince(since, ours):
                arguments |= {"since": _xid(since), "ours": ours}
                # Not prepared: only a plan for these very values can hash the list of transactions.
                cursor = connection.execute(self._changed_since, arguments, prepare=False, binary=True)
            case Holding(condition):
                cursor = connection.execute(self._list(condition), {**arguments, **versions.arguments}, binary=True)
        return cursor.fetchall()

    def complete(self, connection: Connection, rows: Rows) -> Rows:
        """Read the values that were not sent with the listed rows.

        Args:
            connection: a connection in a transaction as for `list_rows`.
            rows: no more than one batch may hold, see `RowList.fitting`.

        Returns:
            The rows. Rows that are no longer at their ctid are missing, and so are damaged rows.
        """
        if not rows.incomplete:
            return rows
        listed = rows.tuples()
        tids = [row[TID] for row in listed if row[SIZE] > SMALL_BYTES]
        if self._careful:
            found = self._readable(connection, tids, {row[TID]: row[ID] for row in listed})
        else:
            found = self._fetch(connection, tids)
        whole: dict[bytes, Row] = {row[TID]: row for row in found}
        completed = (row if row[SIZE] <= SMALL_BYTES else whole.get(row[TID]) for row in listed)
        # Another row may have this ctid now.
        return RowList(
            [new for row, new in zip(listed, completed, strict=True) if new is not None and new[ID] == row[ID]]
        )

    def _fetch(self, connection: Connection, tids: Sequence[bytes]) -> list[Row]:
        return connection.execute(self._whole, {"tids": TidArray(tids)}, prepare=True, binary=True).fetchall()

    def _readable(self, connection: Connection, tids: Sequence[bytes], ids: Mapping[bytes, bytes]) -> list[Row]:
        found = read_readable(connection, tids, self._fetch)
        for tid, why in found.damaged:
            self._damaged[ids[tid]] = DamagedRow(self.relation, ids[tid], why)
        return found.rows

    def unseen(self, earlier: Connection, rows: Rows) -> Rows:
        """Those of some rows that an earlier snapshot does not show.

        Transaction numbers can't tell them apart: a row that was written behind a savepoint has a number that no
        snapshot lists.

        Args:
            earlier: in a transaction with a snapshot that was held when the snapshot of the rows was taken. So a row
                version that it shows was not removed, and is the one that is at its place now.
            rows: of a later snapshot.
        """
        listed = rows.tuples()
        ctids = TidArray([row[TID] for row in listed])
        seen = {row[0] for row in earlier.execute(self._there, {"tids": ctids}, binary=True).fetchall()}
        return RowList([row for row in listed if row[TID] not in seen])

    def reread_readable(self, connection: Connection, ids: Sequence[bytes]) -> list[Row]:
        """As `reread`, in a transaction after `SAVEPOINT`. Damaged rows are missing too."""
        try:
            return self.reread(connection, ids)
        except psycopg.Error as error:
            if not is_damage(error):
                raise
            connection.execute(TO_SAVEPOINT)
            return read_readable(connection, ids, self.reread).rows

    def reread(self, connection: Connection, ids: Sequence[bytes]) -> list[Row]:
        """Read rows again by their ids. Deleted rows are missing."""
        return connection.execute(self._again, {"ids": UuidArray(ids)}, binary=True).fetchall()


class BoundedReader:
    """Reads all rows of a range, one batch at a time.

    Args:
        reader: reads the rows.
        ctid_range: where to read.
        limits: how much a batch may hold.
        versions: which row versions; all that are visible when None.
    """

    def __init__(self, reader: Reader, ctid_range: CtidRange, limits: Limits, versions: Versions = None) -> None:
        self._reader = reader
        self._ctid_range: CtidRange | None = ctid_range
        self._limits = limits
        self._versions = versions
        self._packed = versions is None and reader.relation.packable
        self._listed: Rows = NO_ROWS

    def next_rows(self, connection: Connection) -> Rows | None:
        """Read the next rows; None at the end. After an error it can be called again over another connection.

        Args:
            connection: a connection in a transaction as for `Reader.list_rows`, in the same snapshot each time, after
                `SAVEPOINT`.

        Returns:
            The rows without the damaged ones, for which see `Reader.take_damaged`.
        """
        return self._reader.read_with_care(
            partial(self._next_rows, connection), partial(connection.execute, TO_SAVEPOINT)
        )

    def _next_rows(self, connection: Connection) -> Rows | None:
        if not self._listed:
            if self._ctid_range is None:
                return None
            self._listed, ended = self._list(connection, self._ctid_range)
            self._ctid_range = None if ended else CtidRange(self._listed.last_ctid, self._ctid_range.upto)
        rows = self._listed.fitting(self._limits)
        completed = self._reader.complete(connection, rows)
        self._listed = self._listed[len(rows) :]
        return completed

    def _list(self, connection: Connection, ctid_range: CtidRange) -> tuple[Rows, bool]:
        if self._packed:
            lanes = self._reader.list_blocks(connection, ctid_range, _PACKED_ROWS)
            if lanes is not None:
                block: Rows = lanes.get(0, NO_ROWS)
                return block, len(block) < _PACKED_ROWS
            # A large value does not fit into a row block. Where there is one, there are probably more.
            self._packed = False
        rows = RowList(self._reader.list_rows(connection, ctid_range, _LISTED_ROWS, self._versions))
        return rows, len(rows) < _LISTED_ROWS


def _xid(transaction: int) -> str:
    """The lower 32 bits of a transaction id, as in a row version."""
    return str(transaction % 2**32)
