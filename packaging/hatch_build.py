"""Puts the manual pages into the wheel and into the archive of the source. They are made when those are built."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualPages(BuildHookInterface):  # type: ignore[type-arg]  # hatchling looks for such a class
    """Makes the pages and names them to hatchling."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the pages before the build.

        Args:
            version: `standard` or `editable`.
            build_data: what else the build takes.
        """
        if version == "editable":
            return
        for folder in (self.root, str(Path(self.root) / "packaging")):
            sys.path.insert(0, folder)
        from man_pages import write_to  # noqa: PLC0415  # found by the lines above

        self._folder = tempfile.TemporaryDirectory()
        target, prefix = ("shared_data", "share/man/man1") if self.target_name == "wheel" else ("force_include", "man")
        for page in write_to(Path(self._folder.name)):
            page.chmod(0o644)
            build_data.setdefault(target, {})[str(page)] = f"{prefix}/{page.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the pages after the build."""
        del version, build_data, artifact_path
        folder = getattr(self, "_folder", None)
        if folder is not None:
            folder.cleanup()
