"""`${VAR}` in the strings of the configuration file.

Only `${NAME}`, with a NAME as a shell would accept it, is replaced, once and from left to right; what was put in is not
looked at again. Every other `$` is left alone, since passwords contain it: `$NAME`, `$$`, `${}`, `${NAME:-default}`.
There is no way to escape a `${NAME}`: a text that holds one literally is given through an environment variable, and
those are never expanded.
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
    """A text after its expansion; `repr` hides it.

    Attributes:
        text: what it became.
        names: the variables that were put in, each once, in the order of their first appearance.
    """

    text: str
    names: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Expanded(text=…, names={self.names})"


def expand(text: str, lookup: Callable[[str], str | None], place: str) -> Expanded:
    """Put the values of variables in the place of their `${NAME}`.

    Args:
        text: as it stands in the file.
        lookup: the value of a variable, None when it is unset or empty.
        place: where the text stands, for the error.

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
