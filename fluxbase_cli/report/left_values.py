"""The values that a run left as they are: how many, where and why, some examples, and where all of them are listed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.report.json_report import dotted
from fluxbase_cli.report.table import paragraph
from fluxbase_cli.store.quarantine import LeftKind, Quarantine
from fluxbase_cli.store.records import QuarantineEntry

#: How many values of a kind are shown at the end of a run, if there are few kinds. A kind is a location with a reason.
_EXAMPLES = 5
#: How many examples and how many kinds are shown at most, so that what comes before and after stays on the screen.
_MOST_EXAMPLES = 6
_MOST_KINDS = 5


def left_lines(left: Quarantine, job: int | None) -> Iterator[str]:
    """The values for the end of a run: each kind with some examples, and where the rest is.

    Args:
        left: the values.
        job: the number of the job that has recorded them; None if nothing has.
    """
    shown = left.kinds[:_MOST_KINDS]
    each = max(1, min(_EXAMPLES, _MOST_EXAMPLES // max(len(shown), 1)))
    yield from _kinds(left, shown, each)
    if len(left.kinds) > len(shown):
        more = len(left.kinds) - len(shown)
        yield f"  … and {more} more {'location or reason' if more == 1 else 'locations or reasons'}"
    if left.total > sum(min(each, len(_of_kind(left, kind))) for kind in shown):
        if job is None:
            yield "  `fluxbase-cli secrets list --undecryptable` lists all of them"
        else:
            number = "all of them" if not left.unlisted else f"{len(left)} of {left.total}"
            yield f"  `fluxbase-cli secrets status {job}` lists {number}"
    yield from unlisted_lines(left, job)


def all_left_lines(left: Quarantine, job: int) -> Iterator[str]:
    """All values of the list, by kind."""
    yield from _kinds(left, left.kinds, None)
    yield from unlisted_lines(left, job)


def unlisted_lines(left: Quarantine, job: int | None) -> Iterator[str]:
    """Where all values are, if not all of them are listed."""
    if left.unlisted and job is not None:
        yield f"  all {left.total} are in the table fluxbase_rotation.quarantine, with job = {job}"


def left_in_short(report: JobReport) -> str:
    """Why a job ends with exit code 4, in one line."""
    left = report.quarantine
    parts = [title.removesuffix(":") for title in left_titles(left)]
    parts += [f"not examined: {each}" for each in report.unexamined]
    listed = ""
    if left:
        command = "list --undecryptable" if report.job is None else f"status {report.job}"
        listed = f". `fluxbase-cli secrets {command}` lists {'it' if left.total == 1 else 'them'}"
    return f"{'; '.join(parts)}{listed}"


def left_titles(left: Quarantine) -> Iterator[str]:
    """How many values there are, one line for each of the two causes."""
    if left.undecryptable:
        yield _undecryptable_title(left.undecryptable)
    if left.unwritable:
        yield _unwritable_title(left.unwritable)


def _undecryptable_title(number: int) -> str:
    if number == 1:
        return "1 value could not be opened and was left as it is:"
    return f"{number} values could not be opened and were left as they are:"


def _unwritable_title(number: int) -> str:
    if number == 1:
        return "1 value could not be written and is still under its old key:"
    return f"{number} values could not be written and are still under their old key:"


def _kinds(left: Quarantine, kinds: Sequence[LeftKind], most: int | None) -> Iterator[str]:
    undecryptable = [kind for kind in kinds if not kind.unwritable]
    unwritable = [kind for kind in kinds if kind.unwritable]
    if left.undecryptable:
        yield _undecryptable_title(left.undecryptable)
        yield from _listed(left, undecryptable, most)
    if left.unwritable:
        yield _unwritable_title(left.unwritable)
        yield from _listed(left, unwritable, most)


def _listed(left: Quarantine, kinds: Sequence[LeftKind], most: int | None) -> Iterator[str]:
    for kind in kinds:
        number = f"{'' if kind.exact else 'at least '}{kind.number} {'value' if kind.number == 1 else 'values'}"
        yield from paragraph(f"{kind.location}, {number}: {kind.reason}", "  ", "    ")
        for entry in _of_kind(left, kind)[:most]:
            yield f"    {entry.id}{_path(entry)}"


def _of_kind(left: Quarantine, kind: LeftKind) -> list[QuarantineEntry]:
    return [entry for entry in left if (entry.location, entry.reason) == (kind.location, kind.reason)]


def _path(entry: QuarantineEntry) -> str:
    return f" {dotted(entry.path)}" if entry.path else ""
