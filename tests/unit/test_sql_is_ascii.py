"""Is every statement that we send plain ASCII? A database of another encoding may not have any other character."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import fluxbase_cli

_HOME = Path(fluxbase_cli.__file__).parent
#: Functions and methods whose first argument is a statement.
_TAKE_SQL = frozenset({"execute", "executemany", "SQL"})


def statements() -> Iterator[tuple[str, str]]:
    """Every statement, with the file and the line where it is."""
    for path in sorted(_HOME.rglob("*.sql")):
        yield str(path.relative_to(_HOME)), path.read_text(encoding="utf-8")
    for path in sorted(_HOME.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            if name in _TAKE_SQL:
                for part in ast.walk(node.args[0]):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield f"{path.relative_to(_HOME)}:{part.lineno}", part.value


def test_every_statement_is_ascii() -> None:
    found = list(statements())
    assert len(found) > 150
    assert [place for place, text in found if not text.isascii()] == []
