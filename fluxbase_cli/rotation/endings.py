"""How a rotation ends before its last step without an error: a signal stopped it, or a person must do something."""

from __future__ import annotations


class StoppedError(Exception):
    """A signal requested a stop."""


class WaitingForPersonError(Exception):
    """A person must do something first.

    Args:
        what: what the rotation waits for, a sentence.
        lines: what the person must do.
    """

    def __init__(self, what: str, lines: list[str]) -> None:
        super().__init__(what)
        self.what = what
        self.lines = lines


def stopped_by_person(what: str) -> WaitingForPersonError:
    """Somebody has stopped the job with `secrets stop`."""
    return WaitingForPersonError(what, ["`fluxbase-cli secrets resume` lets it continue."])
