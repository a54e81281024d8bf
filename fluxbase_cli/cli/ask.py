"""Asks the operator before something is changed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from fluxbase_cli.streams import Stream

if TYPE_CHECKING:
    from fluxbase_cli.config import Secret


class CancelledError(Exception):
    """The operator has answered no, or has left the question with Ctrl-C or Ctrl-D. Nothing was changed."""


def can_ask() -> bool:
    """Whether an operator sits at a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, shown: Iterable[str] = ()) -> None:
    """Ask a question. No answer means no.

    Args:
        question: what to agree to.
        shown: lines before it.

    Raises:
        CancelledError: the operator does not agree.
    """
    from fluxbase_cli.report.terminal import as_shown  # noqa: PLC0415  # start-up time

    for line in shown:
        print(as_shown(line, sys.stderr), file=sys.stderr)  # noqa: T201
    # Where a job could run, Ctrl-C asks it to finish its batches. Here it must end the question.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        agreed = typer.confirm(question, default=False, err=True)
        if isinstance(sys.stderr, Stream):
            sys.stderr.note_typed("y\n" if agreed else "n\n")
    except typer.Abort:
        # The cursor stands behind the question.
        print(file=sys.stderr)  # noqa: T201
        agreed = False
    finally:
        signal.signal(signal.SIGINT, before)
    if not agreed:
        raise CancelledError


def ask_secret(question: str) -> Secret | None:
    """Ask for a passphrase, which the terminal does not show. None: nobody sits at a terminal.

    Raises:
        CancelledError: the operator has left the question.
    """
    from fluxbase_cli.config import Secret  # noqa: PLC0415  # start-up time

    if not can_ask():
        return None
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return Secret(str(typer.prompt(question, hide_input=True, err=True)))
    except typer.Abort:
        print(file=sys.stderr)  # noqa: T201
        raise CancelledError from None
    finally:
        signal.signal(signal.SIGINT, before)
