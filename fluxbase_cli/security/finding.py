"""What a rule finds, and what it could not check."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How bad it is if a rule is broken. A higher number is worse."""

    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        """Its name in reports, in lower case."""
        return self.name.lower()

    def lowered(self, steps: int) -> Severity:
        """A severity that is lower by this many steps, at least `INFO`."""
        return Severity(max(0, self - steps))


class NotCheckedError(Exception):
    """What a rule needs could not be looked at.

    Args:
        reason: why, one sentence without a secret and without a final full stop.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was found.

    Attributes:
        kind: what it is, in one word: `setting`, `variable`, `file`, `table`, `function`, `policy`, `role`, `url`, …
        name: its name, which stays the same as long as the thing exists: no line numbers, no counts, no values.
        shown: the place for people. Without it: `kind name`.
        file: the path of a file, if it is in a file.
        line: the line in that file, from 1.
    """

    kind: str
    name: str
    shown: str | None = None
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        return self.shown or f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Found:
    """A rule is broken here. The function of a rule yields it.

    Attributes:
        place: where.
        text: what was found there, one sentence without a final full stop. Never a secret.
        severity: how bad it is here; None: as the rule says.
        remedy: what to do here, as a command or a line to paste; None: as the rule says.
    """

    place: Place
    text: str
    severity: Severity | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A part of a rule that could not be checked, while its other parts could. The function of a rule yields it.

    Attributes:
        reason: what was not checked and why, one sentence without a final full stop.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding in a report.

    Attributes:
        rule: the rule's id.
        severity: how bad it is here.
        title: the rule's title.
        place: where.
        found: what was found there.
        remedy: what to do about it.
    """

    rule: str
    severity: Severity
    title: str
    place: Place
    found: str
    remedy: str

    @property
    def fingerprint(self) -> str:
        """Names this finding in a baseline and in SARIF: 32 hexadecimal digits of the rule and the place's name."""
        text = f"{self.rule}\x00{self.place.kind}\x00{self.place.name}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class NotChecked:
    """A rule, or a part of it, that could not be checked.

    Attributes:
        rule: the rule's id.
        title: the rule's title.
        reason: why.
    """

    rule: str
    title: str
    reason: str
