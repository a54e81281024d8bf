"""Re-encrypts from version 1 to 2, and kills its own process when a batch reaches a step for the n-th time.

Usage: python fatal.py STEP N, with the configuration in the environment.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from threading import Lock

from fluxbase_cli.config import load_settings
from fluxbase_cli.engine.events import BatchStep, Event, Step
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.prepare.prepare import prepare
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.run.job_run import JobRun
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.keyring import load_keyring
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.records import JobKind


class Fatal:
    """Kills its own process."""

    def __init__(self, step: Step, number: int) -> None:
        self._step = step
        self._left = number
        self._lock = Lock()

    def notify(self, event: Event) -> None:
        """Count the step, and kill the process at the n-th."""
        if not isinstance(event, BatchStep) or event.step is not self._step:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Do what the command line does, with another observer."""
    settings = load_settings(config=None, database_url=None, directory=Path.cwd(), environ=os.environ)
    keyring = load_keyring(settings.encryption, os.environ)
    request = JobRequest(JobKind.RE_ENCRYPT, Goal(target=2, source=1), limits=Limits(50, 1 << 20), workers=2)
    prepared = prepare(settings.database, keyring, request)
    fatal = Fatal(Step(sys.argv[1]), int(sys.argv[2]))
    JobRun(settings.database, keyring, prepared, stop=Stop(), observer=fatal).run()


if __name__ == "__main__":
    main()
