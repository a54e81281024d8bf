"""The environment variables of the process, and those of the `.env` file with lower priority."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fluxbase_cli.config.files import read_text
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxbase_cli.config.files import SourceFile

#: The server reads `.env` with godotenv. godotenv replaces these in a value without single quotes (its parser.go).
_GODOTENV_REPLACES = re.compile(r"\\\$|\$\(|\$\{?[A-Z0-9_]")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that is set and not empty.

    Attributes:
        value: its value.
        place: where it was found.
    """

    value: str = field(repr=False)
    place: str


@dataclass(frozen=True, slots=True)
class EnvFile:
    """The variables of a `.env` file.

    Attributes:
        label: the name of the file in messages.
        values: the variables.
        ambiguous: names of the variables whose value the server reads differently.
    """

    label: str = ".env"
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    ambiguous: frozenset[str] = frozenset()


class Environment:
    """Looks up variables.

    A variable of the process overrides the `.env` file, even if it is empty, because godotenv does the same. An empty
    variable counts as unset.

    Args:
        environ: the environment of the process.
        env_file: the content of the `.env` file.
        server_file: the content of the server's own file (`security.encryption.server.env_file`). The two others
            override it.
    """

    def __init__(self, environ: Mapping[str, str], env_file: EnvFile, server_file: EnvFile | None = None) -> None:
        self._environ = environ
        self._env_file = env_file
        self._server_file = server_file or EnvFile()

    def get(self, name: str) -> Variable | None:
        """The variable with this name. None if it is unset or empty."""
        if name in self._environ:
            value, origin = self._environ[name], "environment"
        elif name in self._env_file.values:
            value, origin = self._env_file.values[name], self._env_file.label
        else:
            value, origin = self._server_file.values.get(name, ""), self._server_file.label
        return Variable(value, f"{origin}: {name}") if value else None

    def of_server(self, name: str) -> Variable | None:
        """The variable in the server's own file. None if it is unset or empty, or if there is no such file."""
        value = self._server_file.values.get(name, "")
        return Variable(value, f"{self._server_file.label}: {name}") if value else None

    def names(self) -> tuple[str, ...]:
        """The names of all variables that are set and not empty, sorted."""
        return tuple(
            sorted(
                name
                for name in {*self._environ, *self._env_file.values, *self._server_file.values}
                if self.get(name) is not None
            )
        )

    def is_ambiguous(self, name: str) -> bool:
        """Whether the server gets another value than we do, because it reads the `.env` file with godotenv."""
        if name in self._environ:
            return False
        file = self._env_file if name in self._env_file.values else self._server_file
        return name in file.ambiguous


def read_env_file(file: SourceFile) -> EnvFile:
    """Read a `.env` file. Nothing in it is expanded: keys and passwords contain `$`.

    Raises:
        ConfigurationError: the file or one of its lines can't be read. The message quotes nothing of the file.
    """
    # Imported only if there is such a file, to save start-up time. We use the parser, because `dotenv_values` only logs
    # the lines that it can't read.
    from dotenv.parser import parse_stream  # noqa: PLC0415  # start-up time

    values: dict[str, str] = {}
    ambiguous = set()
    # Line ends are not translated: a carriage return in quotes is part of the value.
    for binding in parse_stream(io.StringIO(read_text(file), newline="")):
        if binding.error:
            line = _first_line(binding.original.string, binding.original.line)
            raise ConfigurationError(
                f"{file.label} can't be understood at line {line}",
                hint="Write NAME=value, and a value with spaces, quotes or # in single quotes.",
            )
        if binding.key is None or binding.value is None:
            continue
        values[binding.key] = binding.value
        ambiguous.discard(binding.key)
        _, _, written = binding.original.string.partition("=")
        if not written.lstrip().startswith("'") and _GODOTENV_REPLACES.search(binding.value):
            ambiguous.add(binding.key)
    return EnvFile(file.label, values, frozenset(ambiguous))


def _first_line(statement: str, line: int) -> int:
    # For the parser, a statement includes the empty lines before it.
    blank = statement[: len(statement) - len(statement.lstrip())]
    return line + blank.replace("\r\n", "\n").replace("\r", "\n").count("\n")
