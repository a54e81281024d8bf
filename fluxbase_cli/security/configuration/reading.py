"""The settings of the server as the server reads them, each with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from urllib.parse import SplitResult, urlsplit

from fluxbase_cli.config.document import Value
from fluxbase_cli.config.environment import Environment
from fluxbase_cli.config.files import SourceFile
from fluxbase_cli.config.reader import variable_name
from fluxbase_cli.security.configuration.known import MAIN, NEWEST_STABLE, KnownSetting, settings_of
from fluxbase_cli.security.configuration.values import go_bool, go_duration, go_integer
from fluxbase_cli.security.finding import Place

#: A whole number of 64 bits has no more digits.
_NANOSECONDS = re.compile(r"[0-9]{1,19}")


class Origin(Enum):
    """Where a setting comes from."""

    VARIABLE = "variable"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as the server reads it.

    Attributes:
        path: its dotted path, in lower case.
        text: its value as text; the entries of a list are joined by commas. It may be a secret: never show it.
        origin: where it comes from.
        place: where it was found.
    """

    path: str
    text: str = field(repr=False)
    origin: Origin
    place: Place

    @property
    def is_default(self) -> bool:
        """Whether it is the server's default."""
        return self.origin is Origin.DEFAULT

    @property
    def items(self) -> tuple[str, ...]:
        """The entries of a list. The server does not remove blanks around them."""
        return tuple(self.text.split(",")) if self.text else ()


@dataclass(frozen=True, slots=True)
class UnreadableFile:
    """A file that the server skips, because it can't understand it.

    Attributes:
        place: the file.
        reason: why, without a value of the file.
    """

    place: Place
    reason: str


@dataclass(frozen=True, slots=True)
class ServerConfiguration:
    """The configuration of the server.

    Attributes:
        leaves: the settings of fluxbase.yaml by their dotted paths: single values, lists and empty sections.
        environment: the variables of the server, with those of `.env`.
        release: the release whose names and defaults count, one of `known.RELEASES`.
        complete: whether all variables of the server are known. Otherwise a secret may be in a variable that we do not
            see.
        config_file: fluxbase.yaml with its text; None if there is none.
        env_label: the name of the file with variables, if it was read.
        lines: the lines of the variables in their files.
        unreadable: files that the server skips.
        second_file: a configuration file that the server never reads, because another comes before it.
    """

    leaves: Mapping[str, Value]
    environment: Environment
    release: str = NEWEST_STABLE
    complete: bool = False
    config_file: SourceFile | None = None
    env_label: str | None = None
    lines: Mapping[str, Place] = field(default_factory=dict)
    unreadable: tuple[UnreadableFile, ...] = ()
    second_file: str | None = None

    @property
    def config_label(self) -> str | None:
        """The name of fluxbase.yaml, if there is one."""
        return None if self.config_file is None else self.config_file.label

    @property
    def known(self) -> Mapping[str, KnownSetting]:
        """The settings that the release reads."""
        return settings_of(self.release)

    @property
    def has_variables(self) -> bool:
        """Whether a setting of the server comes from a variable of the process, and not from a file."""
        if self.complete:
            return False
        variables = (self.environment.get(variable_name(path)) for path in self.known)
        return any(each is not None and each.place.startswith("environment: ") for each in variables)

    def get(self, path: str) -> Setting | None:
        """A setting: the variable, otherwise the file, otherwise the server's default. None if it is empty.

        Args:
            path: its dotted path, in lower case.
        """
        known = self.known.get(path)
        default = None if known is None else known.default
        # The server reads a variable only if the setting has a default or is in the file (viper's AutomaticEnv).
        if default is not None or path in self.leaves:
            name = variable_name(path)
            variable = self.environment.get(name)
            if variable is not None:
                return Setting(path, variable.value, Origin.VARIABLE, self.variable_place(name))
        written = self.leaves.get(path)
        if written is not None and not written.is_null:
            text = text_of(written)
            return Setting(path, text, Origin.FILE, setting_place(written)) if text else None
        if not default:
            return None
        return Setting(path, default, Origin.DEFAULT, Place("setting", path, f"{path} (default of the server)"))

    def text(self, path: str) -> str:
        """The text of a setting; empty if it is not set."""
        found = self.get(path)
        return "" if found is None else found.text

    def flag(self, path: str) -> bool:
        """Whether a setting is on. A value that the server can't read counts as off: it does not start with it."""
        return bool(go_bool(self.text(path)))

    def integer(self, path: str) -> int | None:
        """A whole number. None if it is not set or can't be read."""
        return go_integer(self.text(path))

    def duration(self, path: str) -> timedelta | None:
        """A duration. None if it is not set or can't be read."""
        found = self.get(path)
        return None if found is None else self.duration_of(found)

    @staticmethod
    def duration_of(setting: Setting) -> timedelta | None:
        """The duration that a setting says. A number without a unit in the file is in nanoseconds."""
        if setting.origin is Origin.FILE and _NANOSECONDS.fullmatch(setting.text):
            return timedelta(microseconds=int(setting.text) // 1000)
        return go_duration(setting.text)

    def tenant_settings(self, path: str) -> Iterator[Setting]:
        """The same setting of each tenant that has its own: `tenants.configs.SLUG.…`, or a variable.

        Args:
            path: its dotted path without the tenant.
        """
        if self.release != MAIN:
            return
        for name, value in self.leaves.items():
            parts = name.split(".", 3)
            if parts[:2] == ["tenants", "configs"] and parts[3:] == [path] and (text := text_of(value)):
                yield Setting(name, text, Origin.FILE, setting_place(value))
        ending = "__" + path.upper().replace(".", "__")
        for name in self.environment.names():
            if name.startswith("FLUXBASE_TENANTS__") and name.endswith(ending):
                yield Setting(path, self.text_of_variable(name), Origin.VARIABLE, self.variable_place(name))

    def entries(self, path: str) -> Iterator[Mapping[str, Value]]:
        """The sections of a list, such as `auth.saml_providers`. Only the file has such lists."""
        written = self.leaves.get(path)
        if written is None or not written.is_sequence:
            return
        for each in written.items():
            if each.is_mapping:
                yield each.members()

    def variable(self, name: str) -> Setting | None:
        """A variable that the server reads directly. None if it is unset or empty."""
        found = self.environment.get(name)
        return None if found is None else Setting(name, found.value, Origin.VARIABLE, self.variable_place(name))

    def text_of_variable(self, name: str) -> str:
        """The text of a variable; empty if it is unset."""
        found = self.environment.get(name)
        return "" if found is None else found.value

    def variable_place(self, name: str) -> Place:
        """Where a variable was found."""
        found = self.environment.get(name)
        shown = f"variable {name}" if found is None else found.place
        return self.lines.get(name) or Place("variable", name, shown)

    @property
    def public_address(self) -> tuple[Setting, SplitResult] | None:
        """The address of the server for its users: `public_base_url`, otherwise `base_url`. None if it is no URL."""
        found = self.get("public_base_url") or self.get("base_url")
        if found is None:
            return None
        try:
            return found, urlsplit(found.text)
        except ValueError:
            return None


def text_of(value: Value) -> str:
    """A single value, or a list of single values joined by commas, as text. Empty for anything else."""
    if value.is_sequence:
        return ",".join(text_of(each) for each in value.items())
    return "" if value.is_mapping or value.is_null else value.scalar().written


def setting_place(value: Value) -> Place:
    """The place of a value of the file."""
    return Place("setting", value.path, f"{value.label}:{value.line}: {value.path}", value.label, value.line)
