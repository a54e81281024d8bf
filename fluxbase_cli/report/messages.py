"""Messages on stderr, as text or as JSON lines."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fluxbase_cli.color import must_color
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.printable import as_printed, joined, to_printable_json
from fluxbase_cli.report.terminal import as_shown, draws_views
from fluxbase_cli.streams import own


class Messages:
    """Writes messages for the operator. A message is one line, except if its text is `fluxbase_cli.printable.Lines`.

    Args:
        quiet: write only errors.
        as_json: write each message as one line with a JSON object.
        color: whether colour may be used.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False, color: bool = True) -> None:
        self.quiet = quiet
        self.as_json = as_json
        self.color = color and (draws_views(sys.stderr) or must_color(os.environ))
        # Reentrant: a signal handler may write a message while the main thread writes one.
        self._lock = threading.RLock()
        self._warned: set[str] = set()

    def tell(self, event: LogEvent, text: str, **fields: Any) -> None:  # noqa: ANN401  # JSON
        """Write a message."""
        self._write("info", event, text, fields)

    def warn(self, event: LogEvent, text: str, **fields: Any) -> None:  # noqa: ANN401  # JSON
        """Write a warning."""
        self._write("warning", event, text, fields)

    def warn_once(self, event: LogEvent, text: str) -> None:
        """Like `warn`, but only once, because several parts of a command may find the same."""
        if text not in self._warned:
            self._warned.add(text)
            self.warn(event, text)

    def fail(self, event: LogEvent, text: str, hint: str | None = None, **fields: Any) -> None:  # noqa: ANN401  # JSON
        """Write why the command ends, and what to do about it. It is written even if `quiet` is set."""
        if self.as_json:
            self._print(self._as_json("error", event, text, {**({"hint": hint} if hint else {}), **fields}))
        else:
            self._print(self._marked("Error:", 31, text) + (f"\n{as_shown(hint, sys.stderr)}" if hint else ""))

    def _write(self, level: str, event: LogEvent, text: str, fields: Mapping[str, Any]) -> None:
        if self.quiet:
            return
        if self.as_json:
            line = self._as_json(level, event, text, fields)
        elif level == "warning":
            line = self._marked("Warning:", 33, text)
        else:
            line = as_shown(text, sys.stderr)
        self._print(line)

    def _marked(self, mark: str, color: int, text: str) -> str:
        """A text behind a mark in this colour."""
        shown = as_shown(joined(f"{mark} ", text), sys.stderr)
        return f"\x1b[{color}m{mark}\x1b[0m{shown.removeprefix(mark)}" if self.color else shown

    def _print(self, line: str) -> None:
        with self._lock:
            print(line, file=own(sys.stderr), flush=True)

    @staticmethod
    def _as_json(level: str, event: LogEvent, text: str, fields: Mapping[str, Any]) -> str:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        # Texts for people are escaped as on a terminal, since a reader such as `jq -r` prints them. Other fields are
        # data, and stay as they are.
        shown = {name: as_printed(value) if name == "hint" else value for name, value in fields.items()}
        return to_printable_json(
            {"time": now, "level": level, "event": event.value, "message": as_printed(text), **shown}
        )
