"""Runs one rotation again and again, each time killed by `kill -9` at the next place, and never to its end.

Each run is a process of its own, forked from this one so that nothing has to be imported anew. The places are all
moments of all steps, and those between a key's end and the record of it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fluxbase_cli.config import load_settings
from fluxbase_cli.rotation.context import Moment, RotationContext
from fluxbase_cli.rotation.retention import KeyRetirement
from fluxbase_cli.rotation.rotator import Rotator
from fluxbase_cli.store.rotations import RotationStep

Ctid = tuple[RotationStep, Moment | str]


def _places() -> list[Ctid]:
    places: list[Ctid] = []
    for step in RotationStep:
        places.append((step, Moment.BEGUN))
        if step is RotationStep.RETENTION:
            places += [(step, "disabled"), (step, "destroyed")]
        places += [(step, Moment.DONE), (step, Moment.RECORDED)]
    return places


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _run_until(place: Ctid) -> None:
    _, moment = place

    def listen(reached: RotationStep, at: Moment) -> None:
        if (reached, at) == place:
            _die()

    if isinstance(moment, str):
        record: Callable[..., Any] = KeyRetirement._record

        def die_or_record(self: KeyRetirement, store: Any, version: int, fingerprint: str, action: Any) -> None:
            if f"{action.value}ed".replace("eed", "ed") == moment:
                _die()
            record(self, store, version, fingerprint, action)

        KeyRetirement._record = die_or_record  # type: ignore[method-assign]

    here = Path.cwd()
    context = RotationContext(
        load=lambda: load_settings(directory=here, environ=os.environ, system_directory=here / "etc"),
        environ=os.environ,
        tell=lambda text: print(text, file=sys.stderr),  # noqa: T201
        warn=lambda text: print(text, file=sys.stderr),  # noqa: T201
        listener=listen,
        workers=2,
    )
    Rotator(context).run(force=True)


def main() -> None:
    """Run and be killed at each place; print how each run ended."""
    for place in _places():
        child = os.fork()
        if child == 0:
            try:
                _run_until(place)
            finally:
                # It was to be killed: whatever else ends it is no success.
                os._exit(1)
        _, status = os.waitpid(child, 0)
        step, moment = place
        name = moment if isinstance(moment, str) else moment.value
        print(step.value, name, os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
