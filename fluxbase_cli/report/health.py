"""The health of the daemon, as `rotation health` prints it. It imports nothing of a rotation: it is asked often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def health_lines(health: Mapping[str, Any]) -> Iterator[str]:
    """The answer of the daemon's `/healthz` as lines.

    Args:
        health: the JSON of that answer.
    """
    if health["status"] == "stalled":
        yield f"The daemon should have looked again at {health['next_look']}, and did not: restart it"
        return
    yield f"The daemon is {health['state']}" + (f" until {health['next_look']}" if health["next_look"] else "")
    if health["error"] is not None:
        yield f"Its last run failed, and it tries again: {health['error']}"
