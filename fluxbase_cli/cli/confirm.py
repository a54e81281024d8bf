"""The question before the first write. It shows what will be changed, where, and with which keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fluxbase_cli.cli.ask import ask
from fluxbase_cli.counts import worded

if TYPE_CHECKING:
    from fluxbase_cli.cli.context import Loaded
    from fluxbase_cli.engine.databases import PreparedDatabases
    from fluxbase_cli.engine.prepare.prepare import Prepared
    from fluxbase_cli.report.server_key import ServerNotes

#: At most so many locations are listed: those that hold most.
_LISTED = 12
#: How many values a second are assumed. It is a third of what two processors do
#: (docs/developers/benchmark.md), since nothing is measured before the answer.
_ASSUMED_PER_S = 20_000


def confirm(loaded: Loaded, targets: PreparedDatabases, notes: ServerNotes) -> None:
    """Show what will be done and ask the user. What matters most stands next to the question.

    Args:
        loaded: the settings and the keys.
        targets: the databases.
        notes: what happens to a running server.

    Raises:
        CancelledError: the user does not agree.
    """
    prepared = [target.prepared for target in targets.found if target.prepared is not None]
    lines: list[str] = []
    for each in prepared:
        lines += _values(each)
    lines += notes.before_question()
    for each in prepared:
        lines += _place(each)
    for each in prepared[:1]:
        lines += _goal(loaded, each)
    lines += _time(prepared)
    ask("Go ahead?", lines)


def _values(prepared: Prepared) -> Iterator[str]:
    values = prepared.plan.values_by_location
    most = sorted(values, key=lambda location: -values[location])[:_LISTED]
    yield f"Values in {prepared.preflight.database} (for JSON: documents):"
    for location, number in values.items():
        if location in most:
            yield f"  {number:>9}  {location}"
    left = sum(number for location, number in values.items() if location not in most)
    if len(values) > len(most):
        yield f"  {left:>9}  in {worded(len(values) - len(most), 'more location', 'more locations')}"
    yield f"  {sum(values.values()):>9}  together, of which {_moves(prepared)} will be moved"
    yield from _left(prepared)


def _moves(prepared: Prepared) -> str:
    if prepared.dry_count is not None:
        return str(prepared.dry_count.re_encrypted)
    return f"about {prepared.plan.values_to_move(prepared.request.goal)}"


def _left(prepared: Prepared) -> Iterator[str]:
    """What a job never moves. Values that are under the target key already are not named."""
    counted = prepared.plan if prepared.dry_count is None else prepared.dry_count
    about = "about " if prepared.dry_count is None else ""
    left = []
    if counted.plaintext:
        left.append(f"{about}{counted.plaintext} plaintext")
    if counted.undecryptable:
        left.append(f"{about}{counted.undecryptable} that no key opens")
    if left:
        yield f"             left as they are: {', '.join(left)}"


def _place(prepared: Prepared) -> Iterator[str]:
    preflight = prepared.preflight
    yield f"Host:      {preflight.host}, port {preflight.port}"
    yield f"Database:  {preflight.database}"
    yield f"Role:      {preflight.role}" + (f" as {preflight.access.role}" if preflight.access.role else "")
    if prepared.decision.resumes is not None:
        resumed = prepared.decision.resumes
        yield f"Resumes:   job {resumed.id}" + (f", {resumed.stop}" if resumed.stop is not None else "")


def _goal(loaded: Loaded, prepared: Prepared) -> Iterator[str]:
    goal, keyring = prepared.request.goal, loaded.keyring
    target = keyring.key(goal.target)
    for key in keyring.keys:
        if goal.moves(key.version):
            yield f"From:      version {key.version}, fingerprint {key.fingerprint}"
    yield f"To:        version {target.version}, fingerprint {target.fingerprint}"
    if prepared.request.reason:
        yield f"Reason:    {prepared.request.reason}"
    yield from _list_first([key.version for key in keyring.keys if goal.moves(key.version)])


def _list_first(moved: Sequence[int]) -> Iterator[str]:
    """What to do first if a key has leaked: afterwards nothing says which secrets it sealed."""
    if not moved:
        return
    which, number = (f"key version {moved[0]}", str(moved[0])) if len(moved) == 1 else ("one of these keys", "N")
    yield f"! If {which} has leaked, first save the list of its secrets:"
    yield f"  `fluxbase-cli secrets list --key-version {number} --databases all -o csv`"


def _time(prepared: list[Prepared]) -> Iterator[str]:
    """How long it takes. A resumed job has done a part already."""
    from fluxbase_cli.moments import span  # noqa: PLC0415  # start-up time

    moves = sum(
        each.plan.values_to_move(each.request.goal) if each.dry_count is None else each.dry_count.re_encrypted
        for each in prepared
    )
    rate = next((each.request.max_rate_per_s for each in prepared), None)
    if rate:
        yield f"Time:      about {span(moves / rate)}, at {rate:,.10g} secrets/s (--max-rate)"
    elif moves < 60 * _ASSUMED_PER_S:
        yield "Time:      less than a minute, if the database is not busy"
    else:
        yield f"Time:      about {span(moves / _ASSUMED_PER_S)}, if the database is not busy; --dry-run measures it"
