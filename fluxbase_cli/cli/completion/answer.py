"""Answers the scripts of the shells: `fluxbase-cli __complete SHELL WORD…`.

Somebody is typing. So nothing but words is ever printed, nothing is asked, and the answer comes within two seconds or
not at all.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from fluxbase_cli.cli.completion.words import Answer

#: How long the shell waits for us at most, in seconds.
_LIMIT_S = 2.0


def answer(arguments: Sequence[str]) -> NoReturn:
    """Print what can follow, and end the process. An error prints nothing.

    Args:
        arguments: the shell, and the words up to the one that is completed.
    """
    _silence()
    # A library's wait can't be interrupted in any other way. What is not found by then is not shown.
    timer = threading.Timer(_LIMIT_S, os._exit, (0,))
    timer.daemon = True
    timer.start()
    try:
        text = _text(arguments)
    except BaseException:  # noqa: BLE001  # an error would stand in the middle of the typed line
        text = ""
    try:
        os.write(1, text.encode("utf-8", "replace"))
    finally:
        # Threads that still wait for something must not delay the end.
        os._exit(0)


def _silence() -> None:
    """Send standard error to nowhere, also for libraries that write to the descriptor, and let nobody ask."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 2):
        os.dup2(null, number)
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  # until the end of the process


def _text(arguments: Sequence[str]) -> str:
    from typer.main import get_command  # noqa: PLC0415  # the errors of an import are silent too

    from fluxbase_cli.cli.app import make_app  # noqa: PLC0415  # it imports this package
    from fluxbase_cli.cli.completion.values import VALUES  # noqa: PLC0415
    from fluxbase_cli.cli.completion.words import complete  # noqa: PLC0415

    shell, *words = arguments
    return lines_of(complete(get_command(make_app()), shell, words, VALUES))


def lines_of(found: Answer) -> str:
    """An answer as the scripts read it."""
    from fluxbase_cli.printable import printable  # noqa: PLC0415  # start-up time

    lines = ["files" if found.files else "words"]
    lines += [f"{printable(word)}\t{printable(text)}" for word, text in found.words]
    return "".join(f"{line}\n" for line in lines)
