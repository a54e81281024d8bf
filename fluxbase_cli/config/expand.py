"""``${NAME}`` in the strings of fluxbase.yaml."""

from __future__ import annotations

import re
from collections.abc import Callable

# ``$${`` first: it is the way to write a literal ``${``. Every other ``$`` is left alone, since passwords hold them.
_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class UnsetVariableError(Exception):
    """A ``${NAME}`` whose variable is unset or empty.

    Args:
        name: the variable's name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def expand(text: str, lookup: Callable[[str], str | None]) -> tuple[str, tuple[str, ...]]:
    """Put the values of variables in the place of ``${NAME}``.

    What a variable holds is never expanded again.

    Args:
        text: a string as the file has it.
        lookup: gives a variable's value, or None (or an empty text) when it is unset.

    Returns:
        The expanded text, and the names that stood in it in order, each once.

    Raises:
        UnsetVariableError: a variable is unset or empty.
    """
    names: dict[str, None] = {}

    def value_of(match: re.Match[str]) -> str:
        name: str | None = match[1]
        if name is None:
            return "${"
        value = lookup(name)
        if not value:
            raise UnsetVariableError(name)
        names[name] = None
        return value

    return _REFERENCE.sub(value_of, text), tuple(names)
