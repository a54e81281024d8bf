"""Runs one rotation many times. Each run is killed with `kill -9` at the next point, and no run reaches the end.

With the argument `cutover` it is the rotation of a server that knows one key, and with `way-back` the same with a
server that does not get up under its new key.

Each run is a separate process. It is forked from this one, so that nothing must be imported again. The kill points are
all moments of all steps, and the moments between the end of a key and the record of it.
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
from fluxbase_cli.store.rotations import CUTOVER_STEPS, VERSIONED_STEPS, RotationStep

KillPoint = tuple[RotationStep, Moment | str]


_STEPS = {
    "versioned": VERSIONED_STEPS,
    # The first is recorded together with the beginning of the rotation.
    "cutover": CUTOVER_STEPS[1:],
    "way-back": (*CUTOVER_STEPS[1:-2], RotationStep.RETURN),
}


def _kill_points(kind: str) -> list[KillPoint]:
    points: list[KillPoint] = []
    for step in _STEPS[kind]:
        if step is RotationStep.START and kind == "way-back":
            # It fails, so that its end is never reached.
            points.append((step, Moment.BEGUN))
            continue
        points.append((step, Moment.BEGUN))
        if step is RotationStep.RETENTION and kind == "versioned":
            points += [(step, "disabled"), (step, "destroyed")]
        points += [(step, Moment.DONE), (step, Moment.RECORDED)]
    return points


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _run_until(point: KillPoint) -> None:
    _, moment = point

    def listen(reached: RotationStep, at: Moment) -> None:
        if (reached, at) == point:
            _die()

    if isinstance(moment, str):
        record: Callable[..., Any] = KeyRetirement._record

        def die_or_record(
            self: KeyRetirement, store: Any, version: int, fingerprint: str, action: Any, **more: Any
        ) -> None:
            if f"{action.value}ed".replace("eed", "ed") == moment:
                _die()
            record(self, store, version, fingerprint, action, **more)

        KeyRetirement._record = die_or_record  # type: ignore[method-assign]

    here = Path.cwd()
    context = RotationContext(
        load=lambda: load_settings(directory=here, environ=os.environ, system_directory=here / "etc"),
        environ=os.environ,
        tell=lambda _event, text: print(text, file=sys.stderr),  # noqa: T201
        warn=lambda _event, text: print(text, file=sys.stderr),  # noqa: T201
        listener=listen,
        workers=2,
    )
    Rotator(context).run(force=True)


def main() -> None:
    """Run, with a kill at each point, and print how each run ended."""
    for point in _kill_points(sys.argv[1] if len(sys.argv) > 1 else "versioned"):
        child = os.fork()
        if child == 0:
            try:
                _run_until(point)
            finally:
                # The run must be killed. If it ends in another way, that is an error.
                os._exit(1)
        _, status = os.waitpid(child, 0)
        step, moment = point
        name = moment if isinstance(moment, str) else moment.value
        print(step.value, name, os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
