"""Reads one setting at a time: the environment overrides the file, strings of the file are expanded, types are checked.

The text of a setting keeps the place where it was found, for messages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from fluxbase_cli.config.expand import expand
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from fluxbase_cli.config.document import Value
    from fluxbase_cli.config.environment import Environment

#: The largest number that a setting may have. Versions are stored as PostgreSQL's `integer`.
MAX_INTEGER = 2**31 - 1

_INTEGER = re.compile(r"0|[1-9][0-9]{0,9}")
_FLAGS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}


class Unquoted(Enum):
    """What to do with a value of the file that YAML does not read as text, such as a number without quotes."""

    #: Take the text in the file. The caller checks it.
    AS_WRITTEN = "as written"
    #: Take the text in the file if it means the same to every parser, so also to the server's.
    IF_PLAIN = "if plain"
    #: Refuse it. If a parser has read a key as a number, the original text is lost.
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class SettingValue:
    """The text of a setting and where it was found.

    Attributes:
        text: the text; a text of the file is expanded.
        place: where it is, and the variables that were inserted into it.
    """

    text: str = field(repr=False)
    place: str


class Reader:
    """Reads settings, and remembers which variables they came from.

    Args:
        document: the configuration file, if there is one.
        environment: the variables.
    """

    def __init__(self, document: Value | None, environment: Environment) -> None:
        self.document = document
        self.environment = environment
        self._used: set[str] = set()

    @property
    def used_variables(self) -> frozenset[str]:
        """The names of the variables that were used so far."""
        return frozenset(self._used)

    def variable(self, name: str) -> SettingValue | None:
        """A variable, never expanded. None if it is unset or empty."""
        variable = self.environment.get(name)
        if variable is None:
            return None
        self._used.add(name)
        return SettingValue(variable.value, variable.place)

    def section(self, path: str) -> Value | None:
        """A section of the file. None if there is none."""
        return None if self.document is None else self.document.find(path)

    def text(self, path: str, unquoted: Unquoted = Unquoted.IF_PLAIN) -> SettingValue | None:
        """A setting as text: `FLUXBASE_<PATH>` if that is set, otherwise the text in the file, otherwise None.

        Args:
            path: the dotted path, such as `database.host`.
            unquoted: as for `text_of`.

        Raises:
            ConfigurationError: see `text_of`.
        """
        found = self.variable(variable_name(path))
        if found is not None:
            return found
        value = self.section(path)
        return None if value is None else self.text_of(value, unquoted)

    def text_of(self, value: Value, unquoted: Unquoted = Unquoted.IF_PLAIN) -> SettingValue:
        """A value of the file as text, expanded.

        Args:
            value: a scalar.
            unquoted: what to do if YAML does not read it as text.

        Raises:
            ConfigurationError: it is not text, or refers to a variable that is not set.
        """
        scalar = value.scalar()
        if scalar.is_text:
            expanded = expand(scalar.written, self._value_of, value.place)
            if not expanded.names:
                return SettingValue(expanded.text, value.place)
            return SettingValue(
                expanded.text, f"{value.place} ({', '.join(f'${{{name}}}' for name in expanded.names)})"
            )
        if unquoted is Unquoted.REFUSE or (unquoted is Unquoted.IF_PLAIN and not scalar.is_plain):
            raise ConfigurationError(
                f"{value.place} is not text: put quotes around it",
                hint="Without quotes YAML reads digits such as 0123 or 12e34 as a number, and changes them.",
            )
        return SettingValue(scalar.written, value.place)

    def integer(self, path: str, *, minimum: int, maximum: int = MAX_INTEGER) -> int | None:
        """A setting as a whole number. None if it is not set.

        Raises:
            ConfigurationError: it is not a whole number, or it is out of range.
        """
        found = self.text(path, Unquoted.AS_WRITTEN)
        return None if found is None or not found.text else parse_integer(found, minimum=minimum, maximum=maximum)

    def flag(self, path: str) -> bool:
        """A setting that is on or off. It is off if it is not set.

        Raises:
            ConfigurationError: it is neither on nor off.
        """
        found = self.text(path, Unquoted.AS_WRITTEN)
        if found is None or not found.text:
            return False
        try:
            return _FLAGS[found.text.strip().lower()]
        except KeyError:
            raise ConfigurationError(f"{found.place} must be true or false") from None

    def _value_of(self, name: str) -> str | None:
        found = self.variable(name)
        return None if found is None else found.text


def variable_name(path: str) -> str:
    """The environment variable that overrides the setting: `FLUXBASE_DATABASE_HOST` for `database.host`."""
    return "FLUXBASE_" + path.upper().replace(".", "_")


def parse_integer(found: SettingValue, *, minimum: int, maximum: int = MAX_INTEGER) -> int:
    """Read a whole number in decimal digits.

    Raises:
        ConfigurationError: it is not a whole number, or it is out of range.
    """
    text = found.text.strip()
    number = int(text) if _INTEGER.fullmatch(text) else None
    if number is None or not minimum <= number <= maximum:
        raise ConfigurationError(f"{found.place} must be a whole number from {minimum} to {maximum}")
    return number
