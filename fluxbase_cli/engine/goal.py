"""What a job does with each value: which key versions move, and to which version."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.counts import Counts
from fluxbase_cli.keyring import Layer


@dataclass(frozen=True, slots=True)
class Goal:
    """Moves values to the key version `target`.

    Attributes:
        target: the version that values are moved to.
        source: move only values under this version. When None, move all values that are not under the target.
    """

    target: int
    source: int | None = None

    def moves(self, version: int) -> bool:
        """Whether a layer under this version must be resealed."""
        return version != self.target and (self.source is None or version == self.source)

    def version_for(self, version: int) -> int:
        """The version of a layer after the job, when it is under the given version before."""
        return self.target if self.moves(version) else version

    def layers_for(self, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        """The layers of a value after the job, when it has the given layers before."""
        return tuple(Layer(self.version_for(version), derived) for version, derived in layers)

    def moves_any(self, layers: tuple[Layer, ...]) -> bool:
        """Whether a value has a layer that must be resealed."""
        return any(self.moves(layer.version) for layer in layers)

    def count(self, layers: tuple[Layer, ...], number: int, *, written: bool) -> Counts:
        """Count values with these layers.

        Args:
            layers: the layers of the values, outermost first.
            number: how many values.
            written: True if the values that move were written, False if this is a dry run.
        """
        if self.moves_any(layers):
            return Counts(scanned=number, re_encrypted=number, updated=number if written else 0)
        if all(layer.version == self.target for layer in layers):
            return Counts(scanned=number, already_current=number)
        return Counts(scanned=number, other_versions=number)
