"""The results of the checks before a job: what was found, whether it refuses the job, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from fluxbase_cli.errors import PreflightRefusedError
from fluxbase_cli.printable import joined, lines


class CheckStatus(Enum):
    """The result of a check."""

    GOOD = "good"
    TELL = "tell"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `remedy` says what to run or do if the status is not good."""

    check: str
    status: CheckStatus
    message: str
    remedy: str | None = None

    @property
    def sentence(self) -> str:
        """The message and the remedy in one text."""
        return joined(self.message, ". ", self.remedy) if self.remedy else joined(self.message, ".")


def refuse_if_any(findings: Iterable[Finding]) -> None:
    """Raise an error if a check refuses.

    Raises:
        PreflightRefusedError: its message is the first refusal, its hint has all remedies.
    """
    refusals = [finding for finding in findings if finding.status is CheckStatus.REFUSE]
    if not refusals:
        return
    hints = [refusals[0].remedy or "", *(joined("Also: ", finding.sentence) for finding in refusals[1:])]
    raise PreflightRefusedError(refusals[0].message, hint=lines(hint for hint in hints if hint))
