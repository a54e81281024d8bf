"""The layers of docs/developers/architecture.md, and a docstring at the top of every module."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_MODULES = sorted((_ROOT / "fluxbase_cli").rglob("*.py"))


def test_imports_point_downward_only() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("module", _MODULES, ids=lambda path: str(path.relative_to(_ROOT)))
def test_every_module_begins_with_a_docstring(module: Path) -> None:
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))

    assert docstring
    assert docstring.split("\n\n")[0].rstrip().endswith(".")


def test_no_module_has_a_name_that_says_nothing() -> None:
    names = {part for module in _MODULES for part in module.relative_to(_ROOT).with_suffix("").parts}

    assert names.isdisjoint({"utils", "util", "helpers", "manager", "common", "misc"})
