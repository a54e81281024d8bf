"""The settings of the server as the server reads them, each with its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from fluxbase_cli.config.document import Value
from fluxbase_cli.config.environment import Environment
from fluxbase_cli.config.reader import variable_name
from fluxbase_cli.security.configuration.defaults import DEFAULTS
from fluxbase_cli.security.finding import Place


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
        text: its value as text. It may be a secret: never show it.
        origin: where it comes from.
        place: where it was found.
    """

    path: str
    text: str = field(repr=False)
    origin: Origin
    place: Place


@dataclass(frozen=True, slots=True)
class ServerConfiguration:
    """The configuration of the server.

    Attributes:
        document: the content of fluxbase.yaml; None if there is none.
        environment: the variables, with those of `.env`.
        config_file, env_file: the files that were read, if any.
    """

    document: Value | None
    environment: Environment
    config_file: Path | None = None
    env_file: Path | None = None

    def get(self, path: str) -> Setting | None:
        """A setting: the variable, otherwise the file, otherwise the server's default. None if it is empty.

        Args:
            path: its dotted path, in lower case.
        """
        written = None if self.document is None else self.document.find(path)
        # The server reads a variable only if the setting has a default or is in the file.
        if path in DEFAULTS or written is not None:
            name = variable_name(path)
            variable = self.environment.get(name)
            if variable is not None:
                return Setting(path, variable.value, Origin.VARIABLE, Place("variable", name, variable.place))
        if written is not None and not (written.is_mapping or written.is_sequence):
            text = written.scalar().written
            return Setting(path, text, Origin.FILE, setting_place(written)) if text else None
        default = DEFAULTS.get(path)
        if not default:
            return None
        place = Place("setting", path, f"{path} (default of the server)")
        return Setting(path, default, Origin.DEFAULT, place)


def setting_place(value: Value) -> Place:
    """The place of a value of the file."""
    shown = f"{value.label}:{value.line}: {value.path}" if value.path else value.label
    return Place("setting", value.path, shown, value.label, value.line)
