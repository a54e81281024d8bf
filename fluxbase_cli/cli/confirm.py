"""The question before the first write. It shows what will be changed, where, and with which keys."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

from fluxbase_cli.cli.ask import ask

if TYPE_CHECKING:
    from fluxbase_cli.cli.context import Loaded
    from fluxbase_cli.engine.databases import PreparedDatabases
    from fluxbase_cli.engine.prepare.prepare import Prepared


def confirm(loaded: Loaded, targets: PreparedDatabases, server_lines: Iterable[str]) -> None:
    """Show what will be done and ask the user.

    Args:
        loaded: the settings and the keys.
        targets: the databases.
        server_lines: what happens to a running server.

    Raises:
        CancelledError: the user does not agree.
    """
    summaries = (_summary(loaded, target.prepared) for target in targets.found if target.prepared is not None)
    ask("Go ahead?", (*chain.from_iterable(summaries), *server_lines))


def _summary(loaded: Loaded, prepared: Prepared) -> list[str]:
    preflight, plan, goal = prepared.preflight, prepared.plan, prepared.request.goal
    keyring = loaded.keyring
    target = keyring.key(goal.target)
    role = preflight.role if preflight.access.role is None else f"{preflight.role} as {preflight.access.role}"
    lines = [
        f"Host:      {preflight.host}",
        f"Database:  {preflight.database}",
        f"Role:      {role}",
    ]
    lines += [
        f"From:      version {key.version}, fingerprint {key.fingerprint}"
        for key in keyring.keys
        if goal.moves(key.version)
    ]
    lines.append(f"To:        version {target.version}, fingerprint {target.fingerprint}")
    if prepared.request.reason:
        lines.append(f"Reason:    {prepared.request.reason}")
    if prepared.decision.resumes is not None:
        resumed = prepared.decision.resumes
        lines.append(f"Resumes:   job {resumed.id}" + (f", {resumed.stop}" if resumed.stop is not None else ""))
    lines.append("Values (for JSON: documents):")
    lines += [f"  {number:>9}  {location}" for location, number in plan.values_by_location.items()]
    lines.append(f"  {sum(plan.values_by_location.values()):>9}  together")
    return lines
