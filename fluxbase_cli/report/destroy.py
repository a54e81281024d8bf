"""What `keys destroy` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fluxbase_cli.keys.destroy_request import DestroyOutcome


def destroy_data(outcome: DestroyOutcome) -> dict[str, Any]:
    """The result as JSON."""
    return {
        "key_version": outcome.version,
        "fingerprint": outcome.fingerprint,
        "source": outcome.source,
        "state": outcome.state.value,
        "refused": list(outcome.refusals),
        "already": outcome.already,
        "gone": outcome.gone,
        "not_before": None if outcome.not_before is None else outcome.not_before.isoformat(),
        "left_to_do": list(outcome.left_to_do),
        "census": [
            {"database": each.database, "found": each.total, "undecryptable": each.undecryptable}
            for each in outcome.census
        ],
        "lsn": outcome.lsn,
        "standbys": list(outcome.standbys),
        "unexamined": [each.as_dict() for each in outcome.unexamined],
    }


def destroy_lines(outcome: DestroyOutcome) -> Iterator[str]:
    """The result as text."""
    name = f"key version {outcome.version} ({outcome.fingerprint})"
    if outcome.refusals:
        yield f"✗ Refused: {name} stays {outcome.state}"
        for reason in outcome.refusals:
            yield f"  - {reason}"
    elif outcome.already:
        yield f"✓ K{name[1:]} is destroyed already"
    elif outcome.state == "destroyed":
        yield f"✓ No value needs {name}"
        if outcome.gone:
            yield f"✓ Destroyed {name}: {outcome.source}"
        else:
            yield f"✓ Recorded {name} as destroyed; only you can remove it from its source"
    else:
        yield f"✓ No value needs {name}"
        yield f"✓ Disabled {name}; the key still exists"
