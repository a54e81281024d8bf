"""What time it is for a rotation."""

from __future__ import annotations

from datetime import UTC, datetime

from fluxbase_cli.store.clock import Clock


class RotationClock:
    """The clock that a test gives, or the database server's.

    Until the database was reached, this machine's clock stands in. That only puts a time on messages: `follow` is
    called before anything is compared.

    Args:
        given: the clock to use; None for the server's.
    """

    def __init__(self, given: Clock | None) -> None:
        self._is_given = given is not None
        self._clock: Clock = given or _this_machine

    def __call__(self) -> datetime:
        """The time now."""
        return self._clock()

    def follow(self, server: Clock) -> None:
        """Use the server's clock from now on; a clock that was given stays."""
        if not self._is_given:
            self._clock = server


def _this_machine() -> datetime:
    return datetime.now(UTC)
