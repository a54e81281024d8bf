"""fluxbase.yaml as a tree of settings: names in any case, ``${VAR}`` expanded, each error with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fluxbase_cli.config.expand import UnsetVariableError, expand
from fluxbase_cli.config.sources import Variables
from fluxbase_cli.errors import ConfigurationError

# Only a name that we know is repeated in a message: in a broken file, a secret may stand where a name should.
_KNOWN_NAMES = frozenset(
    {
        "database",
        "security",
        "encryption",
        "encryption_key",
        "host",
        "port",
        "user",
        "admin_user",
        "password",
        "admin_password",
        "ssl_mode",
        "provider",
        "active_key_version",
        "kms_key_id",
        "keys",
        "key_rotation",
        "version",
        "key",
        "ciphertext",
        "enabled",
        "schedule",
        "auto_reencrypt",
        "retain_old_keys",
        "notification_webhook",
    }
)
_INTEGER = re.compile(r"[0-9]{1,18}")
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class Text:
    """A text setting that was found.

    Args:
        value: the expanded text, hidden from ``repr``.
        place: where it stands; a place, never a value.
        references: the variables that stood in it as ``${NAME}``.
    """

    value: str = field(repr=False)
    place: str
    references: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The place, with the variables that the text was made of."""
        if not self.references:
            return self.place
        return f"{self.place} ({', '.join(f'${{{name}}}' for name in self.references)})"


class Section:
    """One mapping of the file, read lazily: what nobody asks for is neither expanded nor judged.

    Args:
        label: what messages call the file.
        path: the dotted path of this mapping; empty for the file's top level.
        content: the mapping as YAML has it.
        variables: what ``${VAR}`` is expanded from.

    Raises:
        ConfigurationError: two names differ only in case.
    """

    def __init__(self, label: str, path: str, content: Mapping[object, object], variables: Variables) -> None:
        self._label = label
        self._path = path
        self._variables = variables
        self._content: dict[str, object] = {}
        for name, value in content.items():
            if not isinstance(name, str):
                continue
            lowered = name.lower()
            if lowered in self._content:
                shown = f"'{lowered}'" if lowered in _KNOWN_NAMES else "a setting"
                where = f"{label}: {path}" if path else label
                raise ConfigurationError(f"{where}: {shown} stands there twice, in upper and lower case")
            self._content[lowered] = value

    def place(self, name: str) -> str:
        """Where a setting of this section stands: ``fluxbase.yaml: database.host``."""
        return f"{self._label}: {self._dotted(name)}"

    @property
    def here(self) -> str:
        """Where this section stands."""
        return f"{self._label}: {self._path}" if self._path else self._label

    def _dotted(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def has(self, name: str) -> bool:
        """Whether the setting is there and neither null nor the empty text."""
        return self._content.get(name) not in (None, "")

    def others(self, known: frozenset[str]) -> Iterator[str]:
        """The names of the settings that are not in ``known``, in lower case."""
        return (name for name in self._content if name not in known and self.has(name))

    def section(self, name: str) -> Section:
        """A section below this one; empty when it is absent or null.

        Raises:
            ConfigurationError: it is something other than a mapping, or two names in it differ only in case.
        """
        content = self._content.get(name)
        if content is None:
            content = {}
        if not isinstance(content, dict):
            raise ConfigurationError(f"{self.place(name)}: must be a mapping of settings")
        return Section(self._label, self._dotted(name), content, self._variables)

    def sections(self, name: str) -> list[Section]:
        """The sections of a list; none when it is absent, null or empty.

        Raises:
            ConfigurationError: it is something other than a list of mappings.
        """
        content = self._content.get(name)
        if content is None:
            return []
        if not isinstance(content, list):
            raise ConfigurationError(f"{self.place(name)}: must be a list, each entry with `version:` and `key:`")
        found = []
        for index, entry in enumerate(content):
            path = f"{self._dotted(name)}[{index}]"
            if not isinstance(entry, dict):
                raise ConfigurationError(f"{self._label}: {path}: must be a mapping with `version:` and `key:`")
            found.append(Section(self._label, path, entry, self._variables))
        return found

    def secret_text(self, name: str) -> Text | None:
        """A text that must be one for YAML too: of digits or ``1e5`` it makes a number, and there is no way back.

        Returns:
            The expanded text; None when it is absent, null or empty.

        Raises:
            ConfigurationError: it is no text, or a ``${VAR}`` in it is unset.
        """
        if not self.has(name):
            return None
        value = self._content[name]
        if not isinstance(value, str):
            raise ConfigurationError(
                f"{self.place(name)}: is not a text",
                hint='Quote it ("..."): without quotes, YAML takes some texts for numbers and other things.',
            )
        return self._expanded(name, value)

    def text(self, name: str) -> Text | None:
        """As ``secret_text``, but an integer or a boolean is taken for the text that it is, as the server does.

        Raises:
            ConfigurationError: it is no such thing, or a ``${VAR}`` in it is unset.
        """
        value = self._content.get(name)
        if isinstance(value, bool):
            return Text("true" if value else "false", self.place(name))
        if isinstance(value, int):
            return Text(str(value), self.place(name))
        return self.secret_text(name)

    def _expanded(self, name: str, value: str) -> Text:
        try:
            expanded, references = expand(value, self._variables.lookup)
        except UnsetVariableError as error:
            raise ConfigurationError(
                f"{self.place(name)}: the variable {error.name} is not set, or empty",
                hint=f"Set {error.name} in the environment or in .env; a literal ${{ is written $${{.",
            ) from None
        return Text(expanded, self.place(name), references)

    def is_number(self, name: str) -> bool:
        """Whether YAML has an integer or a text there; a boolean is no number, though Python says so."""
        value = self._content.get(name)
        return isinstance(value, (int, str)) and not isinstance(value, bool)


def integer(text: Text, *, least: int, most: int) -> int:
    """A whole number within bounds.

    Raises:
        ConfigurationError: it is not.
    """
    stripped = text.value.strip()
    number = int(stripped) if _INTEGER.fullmatch(stripped) else None
    if number is None or not least <= number <= most:
        raise ConfigurationError(f"{text.source}: must be a whole number from {least} to {most}")
    return number


def boolean(text: Text) -> bool:
    """True or false.

    Raises:
        ConfigurationError: it is neither.
    """
    value = _BOOLEANS.get(text.value.strip().lower())
    if value is None:
        raise ConfigurationError(f"{text.source}: must be one of {', '.join(_BOOLEANS)}")
    return value
