"""Finds misspelt settings: names and variables that no reader knows.

Each reader declares the names of its section. Only these sections are checked: everything else in the file belongs to
the server. A name that resembles a known one is refused, because the setting that it means would silently be missing.
Any other name may belong to a newer server, and causes a warning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fluxbase_cli.config.reader import variable_name
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fluxbase_cli.config.document import Value
    from fluxbase_cli.config.reader import Reader

#: How alike two names must be (`difflib`): one wrong letter in five.
_ALIKE = 0.8
#: Another name is not quoted: in a wrong file it could be a secret. It is too short for a key.
_SHOWN = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_UNKNOWN = "that fluxbase-cli knows; it is ignored"


@dataclass(frozen=True, slots=True)
class SectionNames:
    """The names that a section of the file may have.

    Attributes:
        path: the dotted path of the section.
        settings: the names of its settings. Each has a variable too.
        parts: the names of its lists and mappings, which have no variable.
    """

    path: str
    settings: frozenset[str]
    parts: frozenset[str] = field(default=frozenset())


def check_names(reader: Reader, sections: Sequence[SectionNames]) -> list[str]:
    """Check the names in these sections of the file, and the variables of their settings.

    Args:
        reader: the file and the environment.
        sections: the sections; the first one contains all others.

    Returns:
        Warnings about names that resemble no known one.

    Raises:
        ConfigurationError: a name or a variable is misspelt.
    """
    warnings = _check_places(reader, sections[0])
    for names in sections:
        section = reader.section(names.path)
        if section is not None:
            warnings += _check_section(section, names.settings | names.parts)
    return warnings + _check_variables(reader, sections)


def refuse_misspelt(members: Mapping[str, Value], known: Collection[str]) -> None:
    """Refuse a member whose name resembles a known one.

    Raises:
        ConfigurationError: there is such a member.
    """
    for name, value in members.items():
        nearest = None if name in known else _nearest(name, known)
        if nearest is not None:
            raise _misspelt(value.place, nearest)


def _check_places(reader: Reader, names: SectionNames) -> list[str]:
    """Warn of settings that stand outside the section to which they belong, in the sections around it."""
    # Names of one word, such as `server`, are also those of settings of the server.
    known = {name for name in names.settings | names.parts if "_" in name}
    *around, _ = names.path.split(".")
    sections = [reader.document, *(reader.section(".".join(around[: end + 1])) for end in range(len(around)))]
    return [
        f"{value.place} is ignored here: it belongs to {names.path}"
        for section in sections
        if section is not None and section.is_mapping
        for name, value in section.members().items()
        if name in known
    ]


def _check_section(section: Value, known: frozenset[str]) -> list[str]:
    members = section.members()
    refuse_misspelt(members, known)
    return [
        f"{value.place} is not a setting {_UNKNOWN}"
        if _SHOWN.fullmatch(name)
        else f"{section.place} has a setting with another name than those {_UNKNOWN}"
        for name, value in members.items()
        if name not in known
    ]


def _check_variables(reader: Reader, sections: Sequence[SectionNames]) -> list[str]:
    known = {variable_name(f"{names.path}.{name}") for names in sections for name in names.settings}
    prefixes = sorted((variable_name(names.path) + "_" for names in sections), key=len, reverse=True)
    warnings = []
    for name in reader.environment.names():
        # The longest prefix is the innermost section. Its name is not compared: it would make all its settings alike.
        prefix = next((each for each in prefixes if name.startswith(each)), None)
        variable = reader.environment.get(name)
        if prefix is None or variable is None or name in known:
            continue
        endings = {each.removeprefix(prefix).lower() for each in known if each.startswith(prefix)}
        nearest = _nearest(name.removeprefix(prefix).lower(), endings)
        if nearest is not None:
            raise _misspelt(variable.place, prefix + nearest.upper())
        warnings.append(f"{variable.place} is not a setting {_UNKNOWN}")
    return warnings


def _nearest(name: str, known: Collection[str]) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415  # start-up time; needed only after a mistake

    return next(iter(get_close_matches(name.replace("-", "_"), sorted(known), 1, _ALIKE)), None)


def _misspelt(place: str, nearest: str) -> ConfigurationError:
    return ConfigurationError(f"{place} is not a setting: did you mean {nearest}?")
