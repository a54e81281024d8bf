"""Opens and reseals the rows of one table: which key sealed each value, its new value, or why it is undecryptable.

Only opening a value decides which key sealed it, never a label (promise 3).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast
from uuid import UUID

from fluxbase_cli.catalogue.locations import Form, SealedColumn, Unsealed, names_a_secret
from fluxbase_cli.catalogue.plaintext import has_symbols, is_no_seal
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.run.json_strings import changed_paths, parse, walk
from fluxbase_cli.engine.tally import Tally
from fluxbase_cli.keyring import Layer, Opened, Opener, reseal
from fluxbase_cli.seal import NotASealError, NotMyKeyError, Sealer, SealError, may_be_seal, user_salt
from fluxbase_cli.store.documents import Leaf, leaves, replaced
from fluxbase_cli.store.records import UNWRITABLE, QuarantineEntry
from fluxbase_cli.store.relation import FIRST, ID, Relation, Row
from fluxbase_cli.store.row_block import RowBlock
from fluxbase_cli.store.rows import NO_ROWS, Edit, RowBlockEdits, RowList, Rows

NO_KEY = "no configured key opens it: sealed under a key that is not configured, or damaged"
NOT_A_SEAL = "not a sealed value: not base64 of at least 28 bytes"
EMPTY = "empty, where the server always stores a sealed value"
TOO_DEEP = "the document is nested too deeply to read"


@dataclass(slots=True, repr=False)
class ResealResult:
    """The result for some rows. It has no `repr` of its fields, which hold values.

    Attributes:
        tallies: the counts, one tally for each sealed column in order.
        edits: the rows to write.
        quarantine: the undecryptable values.
        rows: the rows that were processed.
    """

    tallies: tuple[Tally, ...]
    edits: Sequence[Edit] = field(default_factory=list)
    quarantine: list[QuarantineEntry] = field(default_factory=list)
    rows: Rows = NO_ROWS

    @classmethod
    def nothing(cls, relation: Relation) -> ResealResult:
        """The result for no rows."""
        return cls(tuple(Tally() for _ in relation.columns))


class _Plan(NamedTuple):
    """How a value is resealed.

    Attributes:
        layers: the layers of the new value.
        sealers: the sealers of these layers, outermost first; empty if they depend on the row's user.
    """

    layers: tuple[Layer, ...]
    sealers: tuple[Sealer, ...]


class FoundValue(NamedTuple):
    """One value of a row.

    Attributes:
        column: the sealed column.
        path: the path in a document; empty if the column is the value.
        size: bytes of the stored text.
        layers: the layers of a value that opened, outermost first; empty if it did not open.
        reason: why it is undecryptable; None if it opened or is plaintext.
    """

    column: SealedColumn
    path: tuple[str, ...]
    size: int
    layers: tuple[Layer, ...]
    reason: str | None


class RowResealer:
    """Opens and reseals the rows of one table.

    Args:
        relation: the table.
        opener: opens and reseals; belongs to the calling thread.
        goal: which values move; None to open only, and make no edits.
        tokens: locations (`schema.table.column`) whose undecryptable values are tokens of letters and digits, as the
            key sample has shown.
    """

    def __init__(
        self, relation: Relation, opener: Opener, goal: Goal | None, tokens: frozenset[str] = frozenset()
    ) -> None:
        self._tokens = frozenset(column for column in relation.columns if relation.table.location(column) in tokens)
        self._relation = relation
        self._opener = opener
        self._goal = goal
        self._columns = tuple(enumerate(relation.columns))
        # There are few combinations of layers and many values, so each combination is decided once: how to reseal, or
        # None if the value stays as it is.
        self._plans: dict[tuple[Layer, ...], _Plan | None] = {}

    def process(self, rows: Rows) -> ResealResult:
        """Process rows that `Reader.complete` returned."""
        result = self._row_block(rows) if isinstance(rows, RowBlock) else self._row_list(rows)
        result.rows = rows
        return result

    def _row_list(self, rows: RowList) -> ResealResult:
        result, listed = ResealResult.nothing(self._relation), rows.tuples()
        columns = [self._column(listed, index, column, result) for index, column in self._columns]
        if len(columns) == 1:
            result.edits = [(row, (new,)) for row, new in zip(listed, columns[0], strict=True) if new is not None]
            return result
        nothing = (None,) * len(columns)
        result.edits = [
            (row, new) for row, new in zip(listed, zip(*columns, strict=True), strict=True) if new != nothing
        ]
        return result

    def _row_block(self, rows: RowBlock) -> ResealResult:
        """Process a row block."""
        result = ResealResult.nothing(self._relation)
        tally, column = result.tallies[0], self._relation.columns[0]
        done, others = self._fast_path(rows.each_text(), len(rows), tally)
        if not others:
            if done:
                result.edits = RowBlockEdits(rows, cast("list[bytes]", done))
            return result
        edits: list[Edit] = [(rows.row(index), (new,)) for index, new in enumerate(done) if new is not None]
        for index in others:
            row = rows.row(index)
            new = self._value(row, 0, column, result, tally)
            if new is not None:
                edits.append((row, (new,)))
        result.edits = edits
        return result

    def _column(self, rows: Sequence[Row], index: int, column: SealedColumn, result: ResealResult) -> list[Any]:
        """Process one column of the rows. Return the new value of each row, or None."""
        tally = result.tallies[index]
        if column.form is Form.JSON:
            return self._documents(rows, index, column, result, tally)
        texts, user_index = [row[FIRST + index] for row in rows], self._relation.user_index
        if user_index is None:
            done, others = self._fast_path(texts, len(rows), tally)
        else:
            done, others = self._fast_path_of_users([row[user_index] for row in rows], texts, tally)
        new_values = done or [None] * len(rows)
        for number in others:
            new_values[number] = self._value(rows[number], index, column, result, tally)
        return new_values

    def _fast_path(
        self, texts: Iterable[bytes | None], number: int, tally: Tally
    ) -> tuple[list[bytes | None], list[int]]:
        """Try the likely key on all values: nearly all are under one key. This is the hot loop of the engine.

        Args:
            texts: values as stored, of a column whose keys don't depend on the row.
            number: how many there are.
            tally: counts the values that this opened.

        Returns:
            The new value of each, or None; an empty list if no value changes. And the indexes of the values that the
            likely key did not open, for `_value`.
        """
        layers = self._opener.likely
        plan = self._plan(layers)
        done: list[bytes | None] = []
        if plan is None:
            others = self._opener.open_each(texts, number)
        else:
            done = self._opener.reseal_each(plan.sealers[0], texts, number)
            others = [index for index, new in enumerate(done) if new is None] if None in done else []
        if number > len(others):
            tally.opened[layers] += number - len(others)
        return done, others

    def _fast_path_of_users(
        self, users: Sequence[bytes | None], texts: Sequence[bytes | None], tally: Tally
    ) -> tuple[list[bytes | None], list[int]]:
        """As `_fast_path`, for a column whose values have a derived key for each user.

        Args:
            users: the 16 bytes of each value's user; None without a user.
            texts: values as stored.
            tally: counts the values that this opened.
        """
        layers = self._opener.likely_of_users
        plan = self._plan(layers)
        salts = [None if user is None else user_salt(user) for user in users]
        done: list[bytes | None] = []
        if plan is None:
            others = self._opener.open_each_of_users(salts, texts, len(texts))
        else:
            done = self._opener.reseal_each_of_users(plan.layers[0].version, salts, texts)
            others = [index for index, new in enumerate(done) if new is None] if None in done else []
        if len(texts) > len(others):
            tally.opened[layers] += len(texts) - len(others)
        return done, others

    def _value(self, row: Row, index: int, column: SealedColumn, result: ResealResult, tally: Tally) -> bytes | None:
        """Process one value. Return the new value, or None."""
        stored = row[FIRST + index]
        if stored is None or (not stored and column.empty_is_unset):
            return None
        user = self._user_of(row)
        try:
            layers, plaintext = self._opener.open(stored, user)
        except SealError as error:
            self._unopened(error, row, column, result, tally)
            return None
        tally.opened[layers] += 1
        plan = self._plan(layers)
        return None if plan is None else reseal(plaintext, plan.sealers or self._opener.sealers(plan.layers, user))

    def _user_of(self, row: Row) -> UUID | None:
        """The user whose derived keys may have sealed the values of a row."""
        index = self._relation.user_index
        return None if index is None or row[index] is None else UUID(bytes=row[index])

    def each_value(self, row: Row) -> Iterator[FoundValue]:
        """Open the values of one row one by one, and say what each is. They are those that `process` counts."""
        for index, column in self._columns:
            stored = row[FIRST + index]
            if column.form is Form.JSON:
                yield from self._each_leaf(column, stored)
            elif stored or (stored is not None and not column.empty_is_unset):
                try:
                    layers, reason = self._opener.open(stored, self._user_of(row))[0], None
                except SealError as error:
                    layers, reason = (), self._why_undecryptable(error, row, column)
                yield FoundValue(column, (), len(stored), layers, reason)

    def _each_leaf(self, column: SealedColumn, stored: bytes | None) -> Iterator[FoundValue]:
        if stored is None:
            return
        try:
            root = parse(self._relation.codec.decode(stored))
        except RecursionError:
            yield FoundValue(column, (), len(stored), (), TOO_DEEP)
            return
        for path, sealed, opened in self._sealed_leaves(root):
            reason = NO_KEY if opened is None else None
            yield FoundValue(column, path, len(sealed), () if opened is None else opened[0], reason)

    def _plan(self, layers: tuple[Layer, ...]) -> _Plan | None:
        """How to reseal values with these layers; None if they stay as they are."""
        if layers in self._plans:
            return self._plans[layers]
        plan = None
        if self._goal is not None and self._goal.moves_any(layers):
            target = self._goal.layers_for(layers)
            derived = any(layer.derived for layer in target)
            plan = _Plan(target, () if derived else self._opener.sealers(target, None))
        self._plans[layers] = plan
        return plan

    def _unopened(self, error: SealError, row: Row, column: SealedColumn, result: ResealResult, tally: Tally) -> None:
        """Count a value that did not open: as plaintext or as undecryptable."""
        reason = self._why_undecryptable(error, row, column)
        if reason is None:
            tally.plaintext += 1
            return
        tally.undecryptable += 1
        result.quarantine.append(self._entry(row, column, (), reason))

    def _why_undecryptable(self, error: SealError, row: Row, column: SealedColumn) -> str | None:
        """Why a value that did not open is undecryptable; None if it is plaintext.

        A value of a text column with the form of a seal is undecryptable, with two exceptions: the row says that it is
        plaintext; or the column may hold plaintext, and the text does not look like a seal.
        """
        stored: bytes = row[FIRST + self._relation.columns.index(column)]
        flag_index = self._relation.flag_index
        plaintext = flag_index is not None and not row[flag_index]
        reason = NO_KEY
        if isinstance(error, NotASealError):
            reason = NOT_A_SEAL if stored else EMPTY
            plaintext = plaintext or column.unsealed is Unsealed.PLAINTEXT
        elif column.unsealed is Unsealed.PLAINTEXT:
            plaintext = (
                plaintext
                or is_no_seal(stored, least_plaintext=column.least_plaintext)
                or (column in self._tokens and not has_symbols(stored))
            )
        return None if plaintext else reason

    def unwritable(self, edit: Edit, why: str) -> list[QuarantineEntry]:
        """The values of a row that the database refuses to write, and that should move."""
        (row, new), decode = edit, self._relation.codec.decode
        entries = []
        for (index, column), value in zip(self._columns, new, strict=True):
            if value is None:
                continue
            is_document = column.form is Form.JSON
            paths = changed_paths(decode(row[FIRST + index]), decode(value)) if is_document else [()]
            entries += [self._entry(row, column, path, UNWRITABLE + why) for path in paths]
        return entries

    def written(self, edits: Sequence[Edit], now: Mapping[bytes, Row]) -> set[bytes]:
        """The ids of the edits whose rows hold what the edit wrote.

        Args:
            edits: edits that were written, or that failed because of another writer.
            now: the rows as they are now, by id; deleted rows are missing.
        """
        return {row[ID] for row, new in edits if row[ID] in now and self._holds(now[row[ID]], row, new)}

    def _holds(self, row: Row, read: Row, new: tuple[Any, ...]) -> bool:
        olds = self._relation.values_of(read)
        wanted = (old if value is None else value for value, old in zip(new, olds, strict=True))
        return self._relation.values_of(row) == tuple(wanted)

    def _documents(
        self, rows: Sequence[Row], index: int, column: SealedColumn, result: ResealResult, tally: Tally
    ) -> list[bytes | None]:
        """Process the strings of documents. Return the new text of each document, or None."""
        stored: list[bytes | None] = [row[FIRST + index] for row in rows]
        found = [(number, leaf) for number, text in enumerate(stored) if text is not None for leaf in leaves(text)]
        done, others = self._fast_path([leaf.text for _, leaf in found], len(found), tally)
        resealed = done or [None] * len(found)
        # Rows of which no key opens a string that may be a seal.
        strange: set[int] = set()
        for position in others:
            number, leaf = found[position]
            try:
                resealed[position] = self._leaf(leaf.text, tally)
            except NotMyKeyError:
                strange.add(number)
        changes: dict[int, list[tuple[Leaf, bytes]]] = defaultdict(list)
        for (number, leaf), new in zip(found, resealed, strict=True):
            if new is not None:
                changes[number].append((leaf, new))
        for number in sorted(strange):
            self._unopened_in(rows[number], index, column, result, tally)
        return [
            replaced(text, changes[number]) if text is not None and number in changes else None
            for number, text in enumerate(stored)
        ]

    def _leaf(self, text: bytes, tally: Tally) -> bytes | None:
        """Process one string of a document. Return the new text, or None.

        Raises:
            NotMyKeyError: it may be a seal, and no key opens it.
        """
        if not may_be_seal(text):
            return None
        try:
            layers, plaintext = self._opener.open(text)
        except NotASealError:
            return None
        tally.opened[layers] += 1
        plan = self._plan(layers)
        return None if plan is None else reseal(plaintext, plan.sealers)

    def _unopened_in(self, row: Row, index: int, column: SealedColumn, result: ResealResult, tally: Tally) -> None:
        """Count the strings of a document that no key opens and that should be values."""
        try:
            # The text is not kept beside the tree: of a large document, each copy counts.
            root = parse(self._relation.codec.decode(row[FIRST + index]))
        except RecursionError:
            tally.undecryptable += 1
            result.quarantine.append(self._entry(row, column, (), TOO_DEEP))
            return
        for path, _, opened in self._sealed_leaves(root):
            if opened is None:
                tally.undecryptable += 1
                result.quarantine.append(self._entry(row, column, path, NO_KEY))

    def _sealed_leaves(self, root: Any) -> Iterator[tuple[tuple[str, ...], bytes, Opened | None]]:  # noqa: ANN401  # JSON
        """The sealed values of a document: path, text, and what it opened to; None if it is undecryptable."""
        for path, text in walk(root):
            sealed = text.encode("utf-8", "surrogatepass")
            if not may_be_seal(sealed):
                continue
            try:
                opened = self._opener.open(sealed)
            except NotASealError:
                continue
            except NotMyKeyError:
                # Any other string that is base64 by chance is only a string.
                if names_a_secret(path) and not is_no_seal(sealed):
                    yield path, sealed, None
                continue
            yield path, sealed, opened

    def _entry(self, row: Row, column: SealedColumn, path: tuple[str, ...], reason: str) -> QuarantineEntry:
        return QuarantineEntry(self._relation.table.location(column), UUID(bytes=row[ID]), path, reason)
