"""What `--plan-out` and `--plan` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fluxbase_cli.plans.differences import Difference
from fluxbase_cli.plans.plan_file import SavedPlan


def written_data(plan: SavedPlan, path: Path) -> dict[str, Any]:
    """A plan that was written, as JSON: the field `plan` of the dry run."""
    return {"file": str(path), "digest": plan.digest, "expires_at": plan.expires_at.isoformat()}


def written_lines(plan: SavedPlan, path: Path) -> Iterator[str]:
    """The same as text."""
    yield f"✓ Wrote the plan to {path}"
    yield f"  digest {plan.digest}"
    yield f"  valid until {plan.expires_at.isoformat(sep=' ', timespec='seconds')} by the server's clock"


def refused_data(plan: SavedPlan, path: Path, differences: Sequence[Difference]) -> dict[str, Any]:
    """A plan that does not hold any more, as JSON."""
    return {
        "plan": {"file": str(path), "digest": plan.digest},
        "state": "refused",
        "differences": [{"what": each.what, "planned": each.planned, "found": each.found} for each in differences],
    }


def refused_lines(path: Path, differences: Sequence[Difference]) -> Iterator[str]:
    """The same as text."""
    number = f"{len(differences)} {'thing is' if len(differences) == 1 else 'things are'}"
    yield f"✗ {path} is refused: {number} not as planned. Nothing was written"
    for each in differences:
        yield f"  {each}"
