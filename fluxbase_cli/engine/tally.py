"""Counts what was found in one column: values by their layers, plaintext values and undecryptable values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.keyring import Layer


@dataclass(slots=True)
class Tally:
    """Counts of the values that were opened or resealed.

    Attributes:
        opened: values by their layers, outermost first.
        plaintext: values from before the server sealed the column.
        undecryptable: undecryptable values.
        unwritable: values that should move, and whose new value the database refuses.
    """

    opened: Counter[tuple[Layer, ...]] = field(default_factory=Counter)
    plaintext: int = 0
    undecryptable: int = 0
    unwritable: int = 0

    def add(self, other: Tally) -> None:
        """Add the counts of another tally."""
        self.opened.update(other.opened)
        self.plaintext += other.plaintext
        self.undecryptable += other.undecryptable
        self.unwritable += other.unwritable

    def remove(self, other: Tally) -> None:
        """Subtract a tally that was added before."""
        self.opened.subtract(other.opened)
        self.plaintext -= other.plaintext
        self.undecryptable -= other.undecryptable
        self.unwritable -= other.unwritable

    def refuse(self, refused: Tally, goal: Goal) -> None:
        """Count values that were added before, and that should move, as unwritable."""
        for layers, number in refused.opened.items():
            if goal.moves_any(layers):
                self.opened[layers] -= number
                self.unwritable += number

    @property
    def scanned(self) -> int:
        """How many sealed values were read."""
        return sum(self.opened.values()) + self.undecryptable + self.unwritable

    def counts(self, goal: Goal, *, written: bool) -> Counts:
        """The counts under a goal."""
        total = Counts(
            scanned=self.undecryptable + self.unwritable, plaintext=self.plaintext, undecryptable=self.undecryptable
        )
        for layers, number in self.opened.items():
            total += goal.count(layers, number, written=written)
        return total

    def moving(self, goal: Goal) -> int:
        """How many values a goal moves."""
        return sum(number for layers, number in self.opened.items() if goal.moves_any(layers))

    def by_version(self) -> Mapping[int, int]:
        """How many values need the key of each version. A value sealed twice under two versions needs both."""
        versions: Counter[int] = Counter()
        for layers, number in self.opened.items():
            for version in {layer.version for layer in layers}:
                versions[version] += number
        return versions
