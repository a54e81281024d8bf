"""Replaces a file."""

from __future__ import annotations

import os
from pathlib import Path

from fluxbase_cli.rotation import yaml_edit


def replace_file(path: Path, before: bytes, after: bytes, backup: Path | None = None) -> None:
    """Replace."""
    target = Path(os.path.realpath(path))
    kept = backup or target.with_name(f".{target.name}.before")
    yaml_edit._replace(target, before, after, kept)
    if backup is None:
        kept.unlink(missing_ok=True)
