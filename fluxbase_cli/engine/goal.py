"""What a job wants of each value: which versions move, and to which one."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.counts import Counts
from fluxbase_cli.keyring import Layer


@dataclass(frozen=True, slots=True)
class Goal:
    """Bring values under `target`.

    Attributes:
        target: the version that values shall be under.
        source: move only values under this version; all that are not under the target when None.
    """

    target: int
    source: int | None = None

    def moves(self, version: int) -> bool:
        """Whether what is under that version is to be sealed anew."""
        return version != self.target and (self.source is None or version == self.source)

    def version_for(self, version: int) -> int:
        """The version that what was under the given one shall be under."""
        return self.target if self.moves(version) else version

    def layers_for(self, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        """The layers that a value with the given ones shall have."""
        return tuple(Layer(self.version_for(version), derived) for version, derived in layers)

    def moves_any(self, layers: tuple[Layer, ...]) -> bool:
        """Whether a value has a layer that is to be sealed anew."""
        return any(self.moves(layer.version) for layer in layers)

    def count(self, layers: tuple[Layer, ...], number: int, *, written: bool) -> Counts:
        """Count values with these layers.

        Args:
            layers: the seals of the values, outermost first.
            number: how many values.
            written: whether those that move were written, or only would be.
        """
        if self.moves_any(layers):
            return Counts(scanned=number, re_encrypted=number, updated=number if written else 0)
        if all(layer.version == self.target for layer in layers):
            return Counts(scanned=number, already_current=number)
        return Counts(scanned=number, other_versions=number)
