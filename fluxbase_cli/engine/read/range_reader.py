"""Opens all values of a range of a table, and writes nothing.

Nearly all values open, and of these only the number counts. So the texts of a column come joined, without their rows
(`store/joined_texts.py`). Only for values that no key opens, and for those that are too large, the rows are read: their
ids and flags say how the values count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

import psycopg

from fluxbase_cli.catalogue.locations import Form, SealedColumn
from fluxbase_cli.engine.read.visitor import RowVisitor
from fluxbase_cli.engine.run.resealer import ResealResult, RowResealer
from fluxbase_cli.engine.tables import limits_for
from fluxbase_cli.engine.tally import Tally
from fluxbase_cli.keyring import Layer, Opener
from fluxbase_cli.seal import MIN_TEXT_BYTES, NotASealError, NotMyKeyError, SealError
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.ctid import LAST_CTID, Ctid, CtidRange
from fluxbase_cli.store.damaged_rows import is_damage
from fluxbase_cli.store.joined_texts import SALT_BYTES, JoinedColumn, JoinedTexts, TextJoiner
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.reader import BoundedReader, Holding, Reader
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.transactions import TO_SAVEPOINT

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Width:
    """How much one statement reads.

    Attributes:
        small: larger values are not sent with the others, in bytes.
        pages: pages of the table.
    """

    small: int
    pages: int


#: A page has up to about 130 rows, so these are up to 9 MB for each column, also where large values follow on small
#: ones. In usual tables it is a tenth of that.
_WIDTHS = (_Width(256, 128), _Width(2_048, 32), _Width(16_384, 4))
#: If more than one in so many values is larger than `small`, the next ranges are read with the next width.
_MANY_LARGE = 16
#: If more than one in so many values needs its row, whole rows are read from then on.
_MANY_ODD = 4
#: The brackets of a document that is read without a parser. For deeper ones, the parser's limit counts.
_MOST_BRACKETS = 400
#: A string of a `jsonb` document without escapes that may be a seal, and that is no name.
_find_candidates = re.compile(rb'"([A-Za-z0-9+/=]{%d,}+)"(?!:)' % MIN_TEXT_BYTES).findall


@dataclass(frozen=True, slots=True)
class Part:
    """Pages of a table that are read by one thread.

    Attributes:
        relation: the table.
        first, end: its pages from `first` on, and before `end`.
        is_last: whether these are the last pages of the table. Pages after `end` are read then, too.
    """

    relation: Relation
    first: int
    end: int
    is_last: bool


#: Reads over a connection, in a transaction as for `BoundedReader.next_rows`.
Read = Callable[[Connection], _T]


class ReadingSession(Protocol):
    """Where values are read: always in the same snapshot."""

    def read(self, action: Read[_T]) -> _T:
        """Call a function with a connection; after a transient error, perhaps again."""
        ...


class RangeReader:
    """Opens the values of one table.

    Args:
        relation: the table.
        opener: opens values; belongs to the calling thread.
        limits: how many whole rows to read at once.
        tokens: as for `RowResealer`.
        visitor: gets the rows too; None if nobody does. With a visitor, all rows are read whole.
    """

    def __init__(
        self,
        relation: Relation,
        opener: Opener,
        limits: Limits,
        tokens: frozenset[str],
        visitor: RowVisitor | None = None,
    ) -> None:
        self._visitor = visitor
        self._relation = relation
        self._opener = opener
        self._limits = limits_for(relation, limits)
        self._resealer = RowResealer(relation, opener, None, tokens)
        self._joiner = TextJoiner(relation)
        self._width = 1 if relation.holds_documents else 0
        self._whole_rows = visitor is not None
        self.reader = Reader(relation)

    def read(self, part: Part, session: ReadingSession) -> Iterator[tuple[int, ResealResult]]:
        """Open all values of a part.

        Args:
            part: what to read.
            session: where to read.

        Yields:
            How many rows have a value, and what was found in them.
        """
        first = part.first
        while first < part.end:
            width = _WIDTHS[self._width]
            end = first + width.pages
            last = LAST_CTID if part.is_last else Ctid(part.end, 0)
            ctid_range = CtidRange(Ctid(first, 0), Ctid(end, 0) if end < part.end else last)
            joined = None if self._whole_rows else session.read(partial(self._join, ctid_range=ctid_range, width=width))
            if joined is not None and self._widen(joined):
                # With most of the values not sent, nothing is lost.
                continue
            result = None if joined is None else self._open(joined, ctid_range, width, session)
            if joined is None or result is None:
                yield from self._read_rows(ctid_range, session)
            else:
                yield joined.rows, result
            first = end

    def _widen(self, joined: JoinedTexts) -> bool:
        """Read with the next width from now on if many values are too large. Return whether most of them are."""
        number = sum(column.number for column in joined.columns)
        large = sum(column.large for column in joined.columns)
        if large * _MANY_LARGE <= number or self._width + 1 == len(_WIDTHS):
            return False
        self._width += 1
        return large * _MANY_ODD > number

    def _read_rows(self, ctid_range: CtidRange, session: ReadingSession) -> Iterator[tuple[int, ResealResult]]:
        bounded = BoundedReader(self.reader, ctid_range, self._limits)
        while (rows := session.read(bounded.next_rows)) is not None:
            result = self._resealer.process(rows)
            if self._visitor is not None:
                self._visitor.visit(self._relation, self._resealer, rows, session.read)
            yield len(rows), result

    def _join(self, connection: Connection, /, *, ctid_range: CtidRange, width: _Width) -> JoinedTexts | None:
        try:
            return self._joiner.read(connection, ctid_range, width.small)
        except psycopg.Error as error:
            if not is_damage(error):
                raise
            # Which row it is, is found out with whole rows.
            connection.execute(TO_SAVEPOINT)
            return None

    def _open(
        self, joined: JoinedTexts, ctid_range: CtidRange, width: _Width, session: ReadingSession
    ) -> ResealResult | None:
        """Open the values. Return None if whole rows must be read instead."""
        result = ResealResult.nothing(self._relation)
        number = sum(column.number for column in joined.columns)
        odd = [
            self._open_column(column, texts, tally)
            for column, texts, tally in zip(self._relation.columns, joined.columns, result.tallies, strict=True)
        ]
        if sum(each.number for each in odd) * _MANY_ODD > number:
            self._whole_rows = sum(each.number - each.large for each in odd) * _MANY_ODD > number
            return None
        for index, each in enumerate(odd):
            holding = self._joiner.holding(index, each.texts, each.of_users, small=width.small)
            if each.number and not self._add_rows(index, each.number, ctid_range, holding, session, result):
                return None
        return result

    def _open_column(self, column: SealedColumn, joined: JoinedColumn, tally: Tally) -> JoinedColumn:
        """Open the values of a column. Return those that need their rows."""
        if column.form is Form.JSON:
            return JoinedColumn(
                [text for text in joined.texts if not self._open_document(text, tally)],
                [line for line in joined.of_users if not self._open_document(line[SALT_BYTES:], tally)],
                joined.large,
            )
        opener, texts, lines = self._opener, joined.texts, joined.of_users
        odd, odd_lines = [], []
        if texts:
            layers = opener.likely
            others = opener.open_each(texts, len(texts))
            _count(tally, layers, len(texts) - len(others))
            odd = [texts[other] for other in others if not self._opens(texts[other], None, tally)]
        if lines:
            layers = opener.likely_of_users
            salts, values = [line[:SALT_BYTES] for line in lines], [line[SALT_BYTES:] for line in lines]
            others = opener.open_each_of_users(salts, values, len(lines))
            _count(tally, layers, len(lines) - len(others))
            odd_lines = [
                lines[other] for other in others if not self._opens(values[other], UUID(salts[other].decode()), tally)
            ]
        return JoinedColumn(odd, odd_lines, joined.large)

    def _opens(self, text: bytes, user: UUID | None, tally: Tally) -> bool:
        try:
            layers, _ = self._opener.open(text, user)
        except SealError:
            return False
        tally.opened[layers] += 1
        return True

    def _open_document(self, text: bytes, tally: Tally) -> bool:
        """Open the values in a document. Return False, and count none, if that needs a parser."""
        if b"\\" in text or text.count(b"{") + text.count(b"[") > _MOST_BRACKETS:
            return False
        candidates: Sequence[bytes] = _find_candidates(text)
        found = Tally()
        layers = self._opener.likely
        others = self._opener.open_each(candidates, len(candidates))
        for other in others:
            try:
                of_other, _ = self._opener.open(candidates[other])
            except NotASealError:
                continue
            except NotMyKeyError:
                # Its path says whether it is only a string.
                return False
            found.opened[of_other] += 1
        _count(found, layers, len(candidates) - len(others))
        tally.add(found)
        return True

    def _add_rows(  # noqa: PLR0913, PLR0917  # which values, where they are, and where to count them
        self,
        index: int,
        number: int,
        ctid_range: CtidRange,
        holding: Holding,
        session: ReadingSession,
        result: ResealResult,
    ) -> bool:
        """Read the rows of some values of a column, and count these values.

        Returns:
            Whether that were as many rows as expected. If not, for example because one is damaged, nothing counts.
        """
        location = self._relation.table.location(self._relation.columns[index])
        bounded = BoundedReader(self.reader, ctid_range, self._limits, holding)
        while (rows := session.read(bounded.next_rows)) is not None:
            number -= len(rows)
            found = self._resealer.process(rows)
            result.tallies[index].add(found.tallies[index])
            result.quarantine += [entry for entry in found.quarantine if entry.location == location]
        return number == 0


def _count(tally: Tally, layers: tuple[Layer, ...], number: int) -> None:
    if number:
        tally.opened[layers] += number
