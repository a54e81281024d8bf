"""The clock of a rotation."""

from __future__ import annotations

from datetime import UTC, datetime

from fluxbase_cli.store.clock import Clock


class RotationClock:
    """The clock that a test gives, or the database server's.

    Until the database is reached, it is this machine's clock. That clock only dates messages: `follow` is called before
    times are compared.

    Args:
        given: the clock to use; None means the server's clock.
    """

    def __init__(self, given: Clock | None) -> None:
        self._is_given = given is not None
        self._clock: Clock = given or _this_machine

    def __call__(self) -> datetime:
        """The current time."""
        return self._clock()

    def follow(self, server: Clock) -> None:
        """Use the server's clock from now on, unless a clock was given."""
        if not self._is_given:
            self._clock = server


def _this_machine() -> datetime:
    return datetime.now(UTC)
