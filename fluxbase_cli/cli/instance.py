"""The command as the process of one instance of a fleet: it ends when the fleet's process is gone.

`fleet.run` starts `python -m fluxbase_cli.cli.instance …` with a pipe as stdin that it never writes to. When the pipe
closes, the fleet's process has ended, by `kill -9` too; the job here then stops as after SIGTERM, with its progress
recorded, so that the same command goes on.
"""

from __future__ import annotations

import os
import signal
import threading
import time

from fluxbase_cli.cli import app

#: How long the job may take to stop, in seconds.
_GRACE_S = 25.0


def main() -> None:
    """Run the command line."""
    threading.Thread(target=_follow_fleet, name="fleet", daemon=True).start()
    app.main()


def _follow_fleet() -> None:
    while os.read(0, 1024):
        pass
    # Nobody reads our output any more: a message would end in an error, in the middle of whatever says it.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
