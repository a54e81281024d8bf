"""Replaces `${VAR}` in the strings of the configuration file.

Only `${NAME}` with a valid shell NAME is replaced, once and from left to right. Inserted text is not expanded again.
Every other `$` stays as it is, because passwords contain it: `$NAME`, `$$`, `${}`, `${NAME:-default}`. A `${NAME}`
can't be escaped. To use such a text literally, set it by an environment variable: variables are never expanded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class UnsetVariableError(ConfigurationError):
    """A text refers to a variable that is unset or empty."""


class Expanded(NamedTuple):
    """A text after its expansion. `repr` hides the text.

    Attributes:
        text: the expanded text.
        names: the inserted variables, each once, in the order of their first use.
    """

    text: str
    names: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Expanded(text=…, names={self.names})"


def expand(text: str, lookup: Callable[[str], str | None], place: str) -> Expanded:
    """Replace each `${NAME}` by the value of its variable.

    Args:
        text: the text in the file.
        lookup: returns the value of a variable, or None if it is unset or empty.
        place: where the text is, for the error.

    Raises:
        UnsetVariableError: a variable is unset or empty. The message names the place and the variable, not the text.
    """

    def value_of(match: re.Match[str]) -> str:
        value = lookup(match[1])
        if not value:
            raise UnsetVariableError(
                f"{place} refers to ${{{match[1]}}}, and that variable is not set or is empty",
                hint=f"Set {match[1]} in the environment or in .env. A text that is meant to hold `${{{match[1]}}}` "
                "literally goes into an environment variable: those are not expanded.",
            )
        return value

    names = tuple(dict.fromkeys(_REFERENCE.findall(text)))
    return Expanded(_REFERENCE.sub(value_of, text), names)
