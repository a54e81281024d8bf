"""Runs the command for one instance of a fleet. The process ends when the fleet's process has ended.

`fleet.run` starts `python -m fluxbase_cli.cli.instance …` with a pipe as stdin. It never writes to the pipe. When the
pipe closes, the fleet's process has ended, even by `kill -9`. The job here then stops as after SIGTERM: its progress is
recorded, and the same command resumes it.
"""

from __future__ import annotations

import os
import signal
import threading
import time

from fluxbase_cli.cli import app
from fluxbase_cli.errors import interrupted_code

#: The job may take this many seconds to stop. Then the process ends at once.
_GRACE_S = 25.0


def main() -> None:
    """Run the command line."""
    threading.Thread(target=_follow_fleet, name="fleet", daemon=True).start()
    app.main()


def _follow_fleet() -> None:
    while os.read(0, 1024):
        pass
    # Nothing reads our output any more, so writing a message would raise an error where the message is written.
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(interrupted_code(signal.SIGTERM))


if __name__ == "__main__":
    main()
