"""What the commands of the group `rotation` print."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fluxbase_cli.counts import worded
from fluxbase_cli.moments import moment_text
from fluxbase_cli.printable import joined
from fluxbase_cli.rotation.outcome import Plan, RotationReport, ServerAway
from fluxbase_cli.rotation.retention import Retired
from fluxbase_cli.rotation.schedule import moment_json
from fluxbase_cli.store.rotations import Retirement


def rotation_data(report: RotationReport) -> dict[str, Any]:
    """The report as JSON."""
    return {
        "state": report.state,
        "due": report.decision.due,
        "why": report.decision.why,
        "rotation": report.rotation,
        "from_version": report.from_version,
        "to_version": report.to_version,
        "job": report.job,
        "re_encrypted": report.re_encrypted,
        "by_version": {str(version): number for version, number in report.by_version.items()},
        "undecryptable": report.undecryptable,
        "retired": [
            {
                "version": each.version,
                "fingerprint": each.fingerprint,
                "action": each.action.value,
                "refusals": list(each.refusals),
                "left_to_do": list(each.left_to_do),
                "gone": each.gone,
            }
            for each in report.retired
        ],
        "elapsed_seconds": round(report.elapsed_seconds, 3),
        "undelivered": list(report.undelivered),
        "next": moment_json(report.next),
        "server": None if report.server is None else _rounded(report.server),
        "returned": report.returned,
    }


def _rounded(server: ServerAway) -> dict[str, float | None]:
    times = {
        "away_seconds": server.away_seconds,
        "stop_seconds": server.stop_seconds,
        "start_seconds": server.start_seconds,
    }
    return {name: None if seconds is None else round(seconds, 3) for name, seconds in times.items()}


def rotation_lines(report: RotationReport) -> Iterator[str]:
    """The report as text."""
    if report.state == "not-due":
        yield f"Not due: {report.decision.why}"
    yield from _retired_lines(report.retired)
    if report.state == "finished":
        yield f"✓ Rotated from version {report.from_version} to {report.to_version} in {report.elapsed_seconds:.0f}s"
    if report.returned is not None:
        yield f"✗ Went back to version {report.from_version}: {report.returned}"
        yield f"✓ The values and the server are under key version {report.from_version} again"
    if report.server is not None and report.server.away_seconds is not None:
        yield from _away_lines(report.server)
    if report.next is not None:
        yield f"Next: {moment_text(report.next)}"


def _away_lines(server: ServerAway) -> Iterator[str]:
    parts = [
        f"{seconds:.1f}s to {what}"
        for what, seconds in (("stop", server.stop_seconds), ("start", server.start_seconds))
        if seconds is not None
    ]
    of_these = f" ({', '.join(parts)})" if parts else ""
    yield f"✓ The server was away for {server.away_seconds:.1f}s{of_these}"


def _retired_lines(retired: tuple[Retired, ...]) -> Iterator[str]:
    for each in retired:
        if each.refusals:
            continue
        name = f"key version {each.version} (fingerprint {each.fingerprint})"
        if each.action is Retirement.DISABLE:
            yield f"✓ Disabled {name}"
        elif each.gone:
            yield f"✓ Destroyed {name}"
        else:
            yield f"✓ Recorded {name} as destroyed; only you can remove it from its source"
        yield from (f"    Left to do: {left}." for left in each.left_to_do)


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan as JSON."""
    jobs = []
    if plan.re_encrypts:
        jobs.append({"kind": "re-encrypt", "to_version": plan.to_version, "values": plan.values})
    return {
        "due": plan.decision.due,
        "why": plan.decision.why,
        "date": moment_json(plan.decision.date),
        "next": moment_json(plan.next),
        "resumes": plan.resumes,
        "step": None if plan.step is None else plan.step.value,
        "from_version": plan.from_version,
        "to_version": plan.to_version,
        "obstacle": plan.obstacle,
        "jobs": jobs,
        "by_version": {str(version): number for version, number in plan.by_version.items()},
        "undecryptable": plan.undecryptable,
        "retention": [
            {
                "version": each.version,
                "fingerprint": each.fingerprint,
                "action": each.action.value,
                "not_before": moment_json(each.not_before),
                "values": each.values,
            }
            for each in plan.retirements
        ],
        "reload_command": plan.reload_command,
        "steps": [step.value for step in plan.steps],
        "missing": list(plan.missing),
    }


def plan_lines(plan: Plan) -> Iterator[str]:
    """The plan as text."""
    if plan.resumes is not None:
        yield f"Due: {plan.decision.why}, it resumes at the step {plan.step or 'that is last'}"
    else:
        yield f"{'Due' if plan.decision.due else 'Not due'}: {plan.decision.why}"
    if plan.next is not None:
        yield f"Next:        {moment_text(plan.next)}"
    yield f"Active:      key version {plan.from_version}"
    if plan.obstacle is not None:
        yield f"New key:     none, {plan.obstacle}"
    else:
        yield f"New key:     version {plan.to_version}"
    yield f"Steps:       {', '.join(step.value for step in plan.steps)}"
    if plan.reload_command is not None:
        yield f"Then runs:   {plan.reload_command}"
    yield (
        f"Re-encrypts: {worded(plan.values, 'value', 'values')}"
        if plan.re_encrypts
        else "Re-encrypts: nothing (auto_reencrypt is off)"
    )
    yield from (joined("✗ Missing: ", missing) for missing in plan.missing)
    if plan.undecryptable:
        yield (
            f"! {worded(plan.undecryptable, 'value opens', 'values open')} under no key; no key is retired as long as "
            "there are such values"
        )
    for each in plan.retirements:
        when = "" if each.not_before is None else f", not before {moment_text(each.not_before)}"
        needed = f"{worded(each.values, 'value needs', 'values need')} it now" if each.values else "no value needs it"
        yield f"Retention:   {each.action.value} version {each.version} ({each.fingerprint}{when}): {needed}"
