"""The strings of a JSON document, with their paths. Any of them may be a sealed value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def strings(document: str | bytes) -> Iterator[tuple[tuple[str, ...], str]]:
    """All strings of a JSON document with their paths (keys, and array indexes as text), however deep.

    Raises:
        RecursionError: the document is nested too deeply for the parser.
    """
    return walk(parse(document))


def changed_paths(before: str, after: str) -> list[tuple[str, ...]]:
    """The paths of the strings in which two documents of the same form differ; the root if they are too deep."""
    try:
        pairs = zip(strings(before), strings(after), strict=True)
        return [path for (path, old), (_, new) in pairs if old != new]
    except RecursionError:
        return [()]


def parse(document: str | bytes) -> Any:  # noqa: ANN401  # JSON
    """Parse a JSON document. Each number is None.

    Raises:
        RecursionError: the document is nested too deeply for the parser.
    """
    # Numbers are not needed, and to convert one with thousands of digits would fail or take long.
    return json.loads(document, parse_int=_no_number, parse_float=_no_number)


def walk(root: Any) -> Iterator[tuple[tuple[str, ...], str]]:  # noqa: ANN401  # JSON
    """All strings of a parsed document with their paths. In memory is only the way to the present one."""
    if isinstance(root, str):
        yield (), root
    path: list[str] = []
    open_nodes = [_children(root)]
    while open_nodes:
        for key, child in open_nodes[-1]:
            if isinstance(child, str):
                yield (*path, key), child
            elif isinstance(child, (dict, list)):
                path.append(key)
                open_nodes.append(_children(child))
                break
        else:
            open_nodes.pop()
            if path:
                path.pop()


def _children(node: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # JSON
    if isinstance(node, dict):
        return iter(node.items())
    return ((str(index), child) for index, child in enumerate(node if isinstance(node, list) else ()))


def _no_number(_digits: str) -> None:
    return None
