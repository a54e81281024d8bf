"""The model: what every value must be. Plain Python, without a database and without the product."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from tests.stateful.layouts import NAMELESS, Layout, Table
from tests.stateful.reader import Contents, Layers, Row, Spot, has_the_form_of_a_seal, open_all


class Outcome(Enum):
    """What an audit must report for a text."""

    OPENED = "opened"
    PLAINTEXT = "plaintext"
    UNDECRYPTABLE = "undecryptable"
    UNSET = "unset"
    """Nothing: there is no value."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value as the model knows it.

    Attributes:
        text: as stored.
        layers: its seals, outermost first; none where no key opens it.
        plaintext: what is in them.
    """

    text: str
    layers: Layers
    plaintext: bytes

    @classmethod
    def of(cls, text: str, user: str | None) -> Value:
        """The value of a text that was just written."""
        opened = open_all(text, user)
        return cls(text, opened.layers, opened.plaintext)


@dataclass(frozen=True, slots=True)
class Goal:
    """What a job does to seals: those under the source, or all, move to the target."""

    source: int | None
    target: int

    def moves(self, version: int) -> bool:
        """Whether a seal under that version is resealed."""
        return version != self.target and self.source in (None, version)

    def after(self, layers: Layers) -> Layers:
        """What the seals of a value become."""
        return tuple(layer._replace(version=self.target) if self.moves(layer.version) else layer for layer in layers)


@dataclass(slots=True)
class Job:
    """A job that has begun.

    Attributes:
        rollback: whether it is a rollback.
        goal: what it does.
        ring: the versions that it was begun with.
        layout: the tables that it was begun with.
        expected: the counts that it must have, by location; None where others have written since it began.
        bad: the values that it must report.
        passed: the last pass that it has begun: 0 is the main pass, then come the catch-up passes.
    """

    rollback: bool
    goal: Goal
    ring: frozenset[int]
    layout: Layout
    expected: Mapping[str, Mapping[str, int]] | None
    bad: frozenset[Spot]
    passed: int = 0


@dataclass(frozen=True, slots=True)
class Effect:
    """What a write did to one row: its new values, or None where the row was deleted."""

    row: Row
    values: Mapping[Spot, Value | None] | None


@dataclass(slots=True)
class Model:
    """What the database must hold, and who may do what.

    Attributes:
        layout: the tables.
        values: every text of the sealed columns.
        rest: the other columns of every row.
        ring: the versions that have a key.
        newest: the newest version that ever existed.
        server: the version that the server seals with.
        disabled: the versions whose keys are disabled.
        job: the unfinished job.
    """

    layout: Layout
    values: dict[Spot, Value] = field(default_factory=dict)
    rest: dict[Row, Mapping[str, Any]] = field(default_factory=dict)
    ring: set[int] = field(default_factory=lambda: {1, 2})
    newest: int = 2
    server: int = 1
    disabled: set[int] = field(default_factory=set)
    job: Job | None = None
    nonces: dict[bytes, str] = field(default_factory=dict)

    # --- writes ---------------------------------------------------------------------------------------------------

    def take(self, effect: Effect, rest: Mapping[str, Any] | None) -> None:
        """Record a write that was committed."""
        if effect.values is None:
            self.rest.pop(effect.row)
            for spot in [spot for spot in self.values if spot.row == effect.row]:
                del self.values[spot]
        else:
            assert rest is not None
            self.rest[effect.row] = rest
            for spot, value in effect.values.items():
                if value is None:
                    self.values.pop(spot, None)
                else:
                    self.values[spot] = value
        self.others_have_written()

    def move(self, layout: Layout) -> None:
        """The server was upgraded: its tables have changed, and hold the same rows."""
        names = {
            old.name: new.name
            for old in self.layout.tables
            for new in layout.tables
            if old.name.rpartition(".")[2] == new.name.rpartition(".")[2] and old.columns == new.columns
        }
        self.layout = layout
        rows = {row: row._replace(table=names[row.table]) for row in self.rest}
        self.rest = {rows[row]: rest for row, rest in self.rest.items()}
        self.values = {spot._replace(row=rows[spot.row]): value for spot, value in self.values.items()}

    def others_have_written(self) -> None:
        """The unfinished job's counts can't be predicted any more."""
        if self.job is not None:
            self.job.expected = None

    def rows(self, table: Table, *, but: Iterable[Row] = ()) -> list[Row]:
        """The rows of a table, except some."""
        left_out = set(but)
        return [row for row in self.rest if row.table == table.name and row not in left_out]

    def user(self, row: Row) -> str | None:
        """The user whose key seals a row's values."""
        return self.rest[row].get("user_id") if self.table(row).owned else None

    def table(self, row: Row) -> Table:
        """The table of a row."""
        return next(table for table in self.layout.tables if table.name == row.table)

    # --- what must be reported ------------------------------------------------------------------------------------

    def outcome(self, spot: Spot) -> Outcome:
        """What an audit must report for a value."""
        value, table = self.values[spot], self.table(spot.row)
        if value.layers:
            return Outcome.OPENED
        if table.document:
            named = has_the_form_of_a_seal(value.text.encode()) and spot.path != NAMELESS
            return Outcome.UNDECRYPTABLE if named else Outcome.UNSET
        if not value.text:
            return Outcome.UNDECRYPTABLE if table.empty_is_damage else Outcome.UNSET
        if table.flagged and not self.rest[spot.row]["is_encrypted"]:
            return Outcome.PLAINTEXT
        if table.legacy and not has_the_form_of_a_seal(value.text.encode()):
            return Outcome.PLAINTEXT
        return Outcome.UNDECRYPTABLE

    @property
    def bad(self) -> frozenset[Spot]:
        """The values that must be reported."""
        return frozenset(spot for spot in self.values if self.outcome(spot) is Outcome.UNDECRYPTABLE)

    def needing(self, version: int) -> int:
        """How many values need a version's key."""
        return sum(any(layer.version == version for layer in value.layers) for value in self.values.values())

    def audit(self) -> dict[str, tuple[int, dict[int, int], int, int]]:
        """By location: sealed values, how many need each version, plaintexts, undecryptable values."""
        said = {}
        for table in self.layout.tables:
            for column in table.columns:
                location = f"{table.name}.{column}"
                spots = [spot for spot in self.values if spot.location == location]
                outcomes = Counter(self.outcome(spot) for spot in spots)
                needed = Counter(
                    version for spot in spots for version in {layer.version for layer in self.values[spot].layers}
                )
                bad = outcomes[Outcome.UNDECRYPTABLE]
                said[location] = (outcomes[Outcome.OPENED] + bad, dict(needed), outcomes[Outcome.PLAINTEXT], bad)
        return said

    def counts(self, goal: Goal) -> dict[str, dict[str, int]]:
        """By location: what a job without disturbances must count; without zeros."""
        counted: dict[str, Counter[str]] = {
            f"{table.name}.{column}": Counter() for table in self.layout.tables for column in table.columns
        }
        for spot, value in self.values.items():
            counts, outcome = counted[spot.location], self.outcome(spot)
            if outcome is Outcome.OPENED:
                if goal.after(value.layers) != value.layers:
                    kinds = ["scanned", "re_encrypted", "updated"]
                elif all(layer.version == goal.target for layer in value.layers):
                    kinds = ["scanned", "already_current"]
                else:
                    kinds = ["scanned", "other_versions"]
                counts.update(kinds)
            elif outcome is Outcome.UNDECRYPTABLE:
                counts.update(["scanned", "undecryptable"])
            elif outcome is Outcome.PLAINTEXT:
                counts.update(["plaintext"])
        return {location: dict(counts) for location, counts in counted.items()}

    # --- checking -------------------------------------------------------------------------------------------------

    def compare(self, found: Contents, allowed: Mapping[Spot, frozenset[Layers]]) -> None:
        """Compare with what an independent reader found, and record where values stand now.

        Args:
            found: what is there.
            allowed: the seals that a value may have now; those of the model where it is not named.

        Raises:
            AssertionError: something is lost, was changed, or is sealed under a key that it must not be under.
        """
        assert found.rest.keys() == self.rest.keys(), "rows have come or gone"
        assert found.texts.keys() == self.values.keys(), "values have come or gone"
        for row, rest in self.rest.items():
            assert found.rest[row] == rest, f"{row}: another column was changed"
        for spot, value in self.values.items():
            text = found.texts[spot]
            now = Value.of(text, self.user(spot.row))
            assert now.plaintext == value.plaintext, f"{spot} does not open to its plaintext"
            fit = allowed.get(spot, frozenset({value.layers}))
            assert now.layers in fit, f"{spot} is under {now.layers}; allowed: {set(fit)}"
            if now.layers == value.layers:
                assert text == value.text, f"{spot} was written without need"
            needless = {layer.version for layer in now.layers} - self.ring
            assert not needless, f"{spot} needs a destroyed key, {needless}"
            self._note_nonces(text)
            self.values[spot] = replace(value, text=text, layers=now.layers)

    def _note_nonces(self, text: str) -> None:
        """No two seals have the same nonce; a copy of a seal has the same text."""
        encoded = text.encode()
        if has_the_form_of_a_seal(encoded):
            nonce = base64.b64decode(encoded)[:12]
            assert self.nonces.setdefault(nonce, text) == text, "two seals have the same nonce"
