"""What was found in one column: values by their seals, and those that have none or that nothing opens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.keyring import Layer


@dataclass(slots=True)
class Tally:
    """Counts while judging.

    Attributes:
        opened: values by their layers, outermost first.
        plaintext: values from before the server sealed the column.
        undecryptable: values that no key opens.
    """

    opened: Counter[tuple[Layer, ...]] = field(default_factory=Counter)
    plaintext: int = 0
    undecryptable: int = 0

    def add(self, other: Tally) -> None:
        """Take another tally's counts in."""
        self.opened.update(other.opened)
        self.plaintext += other.plaintext
        self.undecryptable += other.undecryptable

    def remove(self, other: Tally) -> None:
        """Take a part of this tally out again."""
        self.opened.subtract(other.opened)
        self.plaintext -= other.plaintext
        self.undecryptable -= other.undecryptable

    @property
    def scanned(self) -> int:
        """Sealed values looked at."""
        return sum(self.opened.values()) + self.undecryptable

    def counts(self, goal: Goal, *, written: bool) -> Counts:
        """The counts under a goal."""
        total = Counts(scanned=self.undecryptable, plaintext=self.plaintext, undecryptable=self.undecryptable)
        for layers, number in self.opened.items():
            total += goal.count(layers, number, written=written)
        return total

    def moving(self, goal: Goal) -> int:
        """How many values a goal moves."""
        return sum(number for layers, number in self.opened.items() if goal.moves_any(layers))

    def by_version(self) -> Mapping[int, int]:
        """How many values need the key of each version; one sealed twice under two versions needs both."""
        versions: Counter[int] = Counter()
        for layers, number in self.opened.items():
            for version in {layer.version for layer in layers}:
                versions[version] += number
        return versions
