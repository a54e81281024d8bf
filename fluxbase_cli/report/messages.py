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
        self._lock = threading.Lock()

    def tell(self, text: str, **fields: Any) -> None:  # noqa: ANN401  # JSON
        """Tell something."""
        self._write("info", text, fields)

    def warn(self, text: str, **fields: Any) -> None:  # noqa: ANN401  # JSON
        """Tell something that should be looked at."""
        self._write("warning", text, fields)

    def _write(self, level: str, text: str, fields: Mapping[str, Any]) -> None:
        if self.quiet:
            return
        if self.as_json:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = json.dumps({"time": now, "level": level, "message": text, **fields}, ensure_ascii=False)
        elif level == "warning":
            line = f"\x1b[33mWarning:\x1b[0m {text}" if self.color else f"Warning: {text}"
        else:
            line = text
        with self._lock:
            print(line, file=sys.stderr, flush=True)  # noqa: T201
