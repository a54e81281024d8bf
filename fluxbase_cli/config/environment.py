"""The environment variables of the process, and those of the `.env` file with lower priority."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fluxbase_cli.config.files import read_text
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
        lines: the line of each variable, from 1.
    """

    label: str = ".env"
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    ambiguous: frozenset[str] = frozenset()
    lines: Mapping[str, int] = field(default_factory=dict)


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
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    ambiguous = set()
    try:
        for each in statements_of(read_text(file)):
            if each.name is None or each.value is None:
                continue
            values[each.name] = each.value
            lines[each.name] = each.line
            ambiguous.discard(each.name)
            _, _, written = each.text.partition("=")
            if not written.lstrip().startswith("'") and _GODOTENV_REPLACES.search(each.value):
                ambiguous.add(each.name)
    except UnreadableLineError as error:
        raise ConfigurationError(
            f"{file.label} can't be understood at line {error.line}",
            hint="Write NAME=value, and a value with spaces, quotes or # in single quotes.",
        ) from None
    return EnvFile(file.label, values, frozenset(ambiguous), lines)


@dataclass(frozen=True, slots=True)
class Statement:
    """A part of a `.env` file: a variable, or comments. All of them together are the file.

    Attributes:
        name: the variable; None if there is none.
        value: its value; None if only the name is written.
        text: the part as it is written, with the empty lines before it and its line end.
        line: its line in the file, from 1.
    """

    name: str | None
    value: str | None = field(repr=False)
    text: str = field(repr=False)
    line: int


class UnreadableLineError(Exception):
    """A line of a `.env` file can't be understood.

    Attributes:
        line: its number.
    """

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line}")
        self.line = line


def statements_of(text: str) -> Iterator[Statement]:
    """The parts of a `.env` file, in order.

    Raises:
        UnreadableLineError: a line is not a variable, a comment or empty.
    """
    # Imported only if there is such a file, to save start-up time. We use the parser, because `dotenv_values` only logs
    # the lines that it can't read.
    from dotenv.parser import parse_stream  # noqa: PLC0415  # start-up time

    # Line ends are not translated: a carriage return in quotes is part of the value.
    for binding in parse_stream(io.StringIO(text, newline="")):
        line = _first_line(binding.original.string, binding.original.line)
        if binding.error:
            raise UnreadableLineError(line)
        yield Statement(binding.key, binding.value, binding.original.string, line)


def _first_line(statement: str, line: int) -> int:
    # For the parser, a statement includes the empty lines before it.
    blank = statement[: len(statement) - len(statement.lstrip())]
    return line + blank.replace("\r\n", "\n").replace("\r", "\n").count("\n")
