"""Where settings come from: fluxbase.yaml, the .env file and the environment; found, read, and not yet understood.

The server's own rules (FLUXBASE.md, "Configuration the server reads"). No message here holds a piece of a file's
content: what is wrong with a file is told by its line and column.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from yaml import Node, SafeLoader, ScalarNode

_NAMES = ("fluxbase.yaml", "fluxbase.yml", "config/fluxbase.yaml", "config/fluxbase.yml")
_SYSTEM_NAMES = ("fluxbase.yaml", "fluxbase.yml")
_ENV_NAMES = (".env", ".env.local", "../.env")
# Python refuses to read numbers of more than 4300 digits.
_LONGEST_INTEGER = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """A file that was found.

    Args:
        path: where it is.
        label: what messages call it: the path as it was looked for or given.
    """

    path: Path
    label: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that is set, and not to the empty text.

    Args:
        name: its name.
        value: its value, hidden from ``repr``.
        place: ``environment: NAME`` or ``.env: NAME``.
    """

    name: str
    value: str = field(repr=False)
    place: str


class Variables:
    """The environment, with the .env file behind it.

    As with the server's godotenv, a name that the real environment has is never taken from the file, not even when the
    environment has it empty: ``NAME= command`` is the usual way to switch a variable off.

    Args:
        environ: the real environment.
        dotenv: the variables of the .env file.
        dotenv_label: what messages call that file.
    """

    def __init__(self, environ: Mapping[str, str], dotenv: Mapping[str, str], dotenv_label: str) -> None:
        self._environ = environ
        self._dotenv = dotenv
        self._dotenv_label = dotenv_label
        #: The names that were asked for, so that one used in ``${NAME}`` is not called unused later.
        self.used: set[str] = set()

    def get(self, name: str) -> Variable | None:
        """The variable, or None when it is unset or empty."""
        if name in self._environ:
            value, place = self._environ[name], f"environment: {name}"
        else:
            value, place = self._dotenv.get(name, ""), f"{self._dotenv_label}: {name}"
        return Variable(name, value, place) if value else None

    def lookup(self, name: str) -> str | None:
        """A variable's value, for ``${NAME}``."""
        self.used.add(name)
        variable = self.get(name)
        return variable.value if variable else None

    def starting_with(self, prefix: str) -> Iterator[Variable]:
        """The variables whose names start so, sorted by name."""
        for name in sorted(self._environ.keys() | self._dotenv.keys()):
            if name.startswith(prefix) and (variable := self.get(name)):
                yield variable


def find_config(config: Path | None, directory: Path, system_directory: Path) -> Found | None:
    """Find fluxbase.yaml where the server would.

    Args:
        config: a file that was asked for; nothing else will do then.
        directory: the working directory.
        system_directory: ``/etc/fluxbase``.

    Returns:
        The file, or None: the server runs without one too.

    Raises:
        ConfigurationError: ``config`` does not exist.
    """
    if config is not None:
        path = directory / config
        # Not Path.exists, which raises in a folder that may not be searched.
        if not os.path.exists(path):  # noqa: PTH110
            raise ConfigurationError(f"{config}: there is no such file")
        return Found(path, str(config))
    candidates = [Found(directory / name, name) for name in _NAMES]
    candidates += [Found(system_directory / name, str(system_directory / name)) for name in _SYSTEM_NAMES]
    return _first_file(candidates)


def read_variables(directory: Path, environ: Mapping[str, str]) -> tuple[Variables, Path | None]:
    """Read the first .env file there is, and put the environment before it.

    Args:
        directory: the working directory.
        environ: the real environment.

    Returns:
        The variables, and the .env file if there is one.

    Raises:
        ConfigurationError: the file can't be read.
    """
    found = _first_file([Found(directory / name, name) for name in _ENV_NAMES])
    if found is None:
        return Variables(environ, {}, _ENV_NAMES[0]), None
    from io import StringIO  # noqa: PLC0415  # start-up time

    from dotenv import dotenv_values  # noqa: PLC0415  # start-up time

    # Not interpolated: a key or a password may hold a ``$``.
    values = dotenv_values(stream=StringIO(_read_text(found)), interpolate=False)
    return Variables(environ, {name: value for name, value in values.items() if value}, found.label), found.path


def read_config(found: Found) -> dict[object, object]:
    """Read fluxbase.yaml.

    Args:
        found: the file.

    Returns:
        Its top level, as YAML has it; empty for an empty file.

    Raises:
        ConfigurationError: the file is unreadable, not UTF-8, not YAML, or not a mapping.
    """
    document = _parse(_read_text(found), found.label)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigurationError(f"{found.label}: the file must be a mapping of settings")
    return document


def _first_file(candidates: list[Found]) -> Found | None:
    # os.path.isfile and not Path.is_file: before Python 3.14 the latter raises in a folder that may not be searched, as
    # the parent of the working directory can be. Files only: ``.env`` is also what people call a virtual environment.
    return next((found for found in candidates if os.path.isfile(found.path)), None)  # noqa: PTH113


def _read_text(found: Found) -> str:
    try:
        # utf-8-sig: editors on Windows put a byte order mark in front.
        return found.path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        # Not chained: the exception holds the bytes.
        raise ConfigurationError(f"{found.label}: the file is not UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{found.label}: can't be read: {error.strerror or type(error).__name__}") from None


def _parse(text: str, label: str) -> Any:  # noqa: ANN401  # that is what YAML is
    import yaml  # noqa: PLC0415  # start-up time

    class Loader(yaml.SafeLoader):
        # A table of its own, since SafeLoader's is everybody's. As texts: Go's YAML gives the server a date for a date,
        # and an impossible one, or a number of ten thousand digits, would stop us wherever in the file it stands.
        yaml_constructors = {  # noqa: RUF012  # PyYAML's own way
            **yaml.SafeLoader.yaml_constructors,
            "tag:yaml.org,2002:timestamp": yaml.SafeLoader.construct_yaml_str,
            "tag:yaml.org,2002:int": _integer_or_text,
        }

    line = column = 0
    try:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            _refuse_double_keys(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark is not None:
            line, column = mark.line + 1, mark.column + 1
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    except (yaml.YAMLError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError):
        # What PyYAML lets through: `!!int x`, ten thousand brackets.
        pass
    # Outside the handlers, so that no exception with a snippet of the file hangs on this one.
    place = f"{label}: line {line}, column {column}" if line else label
    raise ConfigurationError(
        f"{place}: is not valid YAML, or a name stands there twice",
        hint="A text with any of { } [ ] ` # & * ! | > % @ : in it must be quoted.",
    )


def _integer_or_text(loader: SafeLoader, node: ScalarNode) -> int | str:
    """An integer; but ``1:30`` is a text, as it is for the server, and so is what is too long for a number."""
    if ":" in node.value or len(node.value) > _LONGEST_INTEGER:
        return str(node.value)
    return int(loader.construct_yaml_int(node))


def _refuse_double_keys(root: Node | None) -> None:
    """Refuse a name that stands twice in a mapping, as Go's YAML does; PyYAML lets the last one win silently.

    Before the construction, which puts what ``<<`` brings among a mapping's own names.
    """
    from yaml import MappingNode, ScalarNode, SequenceNode  # noqa: PLC0415  # start-up time
    from yaml.constructor import ConstructorError  # noqa: PLC0415  # start-up time

    waiting = [root]
    # An alias is the same node again, and may be its own ancestor.
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            waiting += node.value
        elif isinstance(node, MappingNode):
            names: set[tuple[str, str]] = set()
            for name, value in node.value:
                waiting.append(value)
                if not isinstance(name, ScalarNode):
                    continue
                if (name.tag, name.value) in names:
                    raise ConstructorError(None, None, "a name twice", name.start_mark)
                names.add((name.tag, name.value))
