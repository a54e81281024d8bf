"""Messages on stderr, as text or as JSON lines."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


class Messages:
    """Writes messages for the operator.

    Args:
        quiet: write none.
        as_json: write each as a JSON object on a line.
        color: colour may be used.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False, color: bool = True) -> None:
        self.quiet = quiet
        self.as_json = as_json
        self.color = color and sys.stderr.isatty()
        # Reentrant: a signal handler may speak while the main thread is speaking.
        self._lock = threading.RLock()
        self._told: set[str] = set()

    def tell(self, text: str, **fields: Any) -> None:  # noqa: ANN401  # JSON
        """Tell something."""
        self._write("info", text, fields)

    def warn(self, text: str, **fields: Any) -> None:  # noqa: ANN401  # JSON
        """Tell something that should be looked at."""
        self._write("warning", text, fields)

    def warn_once(self, text: str) -> None:
        """As `warn`, of what several parts of a command may find out."""
        if text not in self._told:
            self._told.add(text)
            self.warn(text)

    def fail(self, text: str, hint: str | None, **fields: Any) -> None:  # noqa: ANN401  # JSON
        """Tell why the command ends, and what to do about it; told even where all else is quiet."""
        if self.as_json:
            self._print(self._as_json("error", text, {**({"hint": hint} if hint else {}), **fields}))
        else:
            mark = "\x1b[31mError:\x1b[0m" if self.color else "Error:"
            self._print(f"{mark} {text}" + (f"\n{hint}" if hint else ""))

    def _write(self, level: str, text: str, fields: Mapping[str, Any]) -> None:
        if self.quiet:
            return
        if self.as_json:
            line = self._as_json(level, text, fields)
        elif level == "warning":
            line = f"\x1b[33mWarning:\x1b[0m {text}" if self.color else f"Warning: {text}"
        else:
            line = text
        self._print(line)

    def _print(self, line: str) -> None:
        with self._lock:
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    @staticmethod
    def _as_json(level: str, text: str, fields: Mapping[str, Any]) -> str:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return json.dumps({"time": now, "level": level, "message": text, **fields}, ensure_ascii=False)
