"""Asks git whether a file is under version control."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

#: A repository on a network drive may be slow, in seconds.
_LIMIT_S = 5.0
#: The repository may be somebody else's: nothing that its configuration names is run.
_SAFELY = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks")


def is_tracked(path: Path) -> bool | None:
    """Whether git tracks a file.

    Args:
        path: the file.

    Returns:
        None if that is not known: git is missing, or takes too long, or refuses a repository of another user.
    """
    program = shutil.which("git")
    if program is None:
        return None
    folder, name = path.absolute().parent, path.name
    try:
        done = subprocess.run(  # noqa: S603  # the file's name is one argument, and no option
            [program, *_SAFELY, "-C", str(folder), "ls-files", "--error-unmatch", "--", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # The message that is looked for is in English, and the settings of this user do not count.
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": os.devnull,
                "LC_ALL": "C",
                "GIT_LITERAL_PATHSPECS": "1",
            },
            timeout=_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode == 0:
        return True
    # 1: the file is not tracked; 128: there is no repository, or git refuses it.
    return None if b"dubious ownership" in done.stderr else False
