"""A setting that is a command: a program and its arguments. No shell reads it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from fluxbase_cli.config.reader import SettingValue, variable_name
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from fluxbase_cli.config.reader import Reader


def read_words(reader: Reader, path: str, example: str) -> tuple[SettingValue, ...]:
    """Read a list of words of the file, or a variable. A variable is split into words by a shell's rules.

    Args:
        reader: the file and the environment.
        path: the dotted path of the setting.
        example: a list as it may be written, for the error message.

    Returns:
        The words, each with its place; empty if the setting is missing.

    Raises:
        ConfigurationError: it is not a list of texts, or its first word is empty.
    """
    variable = reader.variable(variable_name(path))
    if variable is not None:
        try:
            return tuple(SettingValue(word, variable.place) for word in shlex.split(variable.text))
        except ValueError:
            raise ConfigurationError(
                f"{variable.place} can't be split into words: a quote is not closed",
                hint=f"As in `{example}`; no shell reads it.",
            ) from None
    section = reader.section(path)
    if section is None or section.is_null:
        return ()
    if not section.is_sequence:
        raise ConfigurationError(
            f"{section.place} must be a list of words",
            hint=f"As in `{example}`; no shell reads it.",
        )
    words = tuple(reader.text_of(item) for item in section.items())
    if words and not words[0].text:
        raise ConfigurationError(
            f"{section.place} begins with an empty word", hint=f"As in `{example}`; no shell reads it."
        )
    return words
