"""The estimated and the measured cost of a run, as lines for stderr after the result."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbase_cli.counts import worded
from fluxbase_cli.engine.cost import FEW_ROWS, Cost, VacuumCandidate
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.engine.throttle.pacing import in_bytes


def cost_lines(report: JobReport) -> Iterator[str]:
    """The estimate of a dry run, or the cost of a run with its estimate. Then the tables that should be vacuumed."""
    estimated = None if report.estimate is None else report.estimate.cost
    if report.state == "dry-run":
        if report.estimate is not None and estimated is not None:
            yield f"Estimate: {', '.join(_figures(estimated))}"
            yield (
                f"  measured in {report.estimate.took_s:.1f}s on {worded(report.estimate.rows, 'row', 'rows')}, "
                f"rolled back{_lag_risk(estimated)}"
            )
        elif report.estimate is not None and report.estimate.reason and report.handled >= FEW_ROWS:
            yield f"No estimate: no trial run was possible: {report.estimate.reason}"
    elif report.measured is not None and (estimated is not None or report.handled >= FEW_ROWS):
        yield f"Cost: {', '.join(_figures(report.measured))}"
        if estimated is not None:
            yield f"Estimate was: {', '.join(_figures(estimated))}"
    yield from _vacuum_lines(report.vacuum_candidates)


def _figures(cost: Cost) -> Iterator[str]:
    yield f"{cost.seconds:.0f}s" if cost.seconds >= 10 else f"{cost.seconds:.1f}s"  # noqa: PLR2004  # two digits
    yield f"{in_bytes(cost.wal_bytes)} of WAL"
    yield f"tables and indexes grow by {in_bytes(max(0, cost.growth_bytes))}"
    yield f"{cost.key_calls} key{'' if cost.key_calls == 1 else 's'} fetched from elsewhere"


def _lag_risk(cost: Cost) -> str:
    if not cost.standbys:
        return ""
    standbys = f"{cost.standbys} standby{'' if cost.standbys == 1 else 's'}"
    rate = in_bytes(cost.wal_bytes_per_s)
    return f"; {standbys} must keep up with {rate}/s (--max-replica-lag waits where one does not)"


def _vacuum_lines(vacuum_candidates: tuple[VacuumCandidate, ...]) -> Iterator[str]:
    left = [each for each in vacuum_candidates if not each.vacuumed]
    if not left:
        return
    yield "These tables would gain from VACUUM (--vacuum does it after the job):"
    for each in left:
        yield f"  {each.table}: {each.dead_rows} dead rows, grown by {in_bytes(max(0, each.grown_bytes))}"
