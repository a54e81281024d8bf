"""Finds and reads the files of the server's configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fluxbase_cli.config.document import Value, read_document
from fluxbase_cli.config.environment import EnvFile, Environment, read_env_file
from fluxbase_cli.config.files import SYSTEM_DIRECTORY, SourceFile, find_config_file, find_env_file, read_text
from fluxbase_cli.config.reader import Reader
from fluxbase_cli.config.server import read_server
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.security.configuration.git import is_tracked
from fluxbase_cli.security.configuration.known import NEWEST_STABLE
from fluxbase_cli.security.configuration.reading import ServerConfiguration, UnreadableFile
from fluxbase_cli.security.finding import Place

_NAME = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=")
#: As godotenv's `expandVarRegex`.
_REFERENCE = re.compile(r"(?P<escape>\\)?\$(?P<command>\()?\{?(?P<name>[A-Z0-9_]+)?\}?")
_PLACES = ("fluxbase.yaml", "fluxbase.yml", "config/fluxbase.yaml", "config/fluxbase.yml")


def open_configuration(  # noqa: PLR0913  # what the configuration is read from
    *,
    config: Path | None,
    directory: Path,
    environ: Mapping[str, str],
    server_environment: Path | None = None,
    release: str = NEWEST_STABLE,
    system_directory: Path = SYSTEM_DIRECTORY,
) -> tuple[ServerConfiguration, Reader]:
    """Read fluxbase.yaml, `.env` and the environment as the server does.

    Args:
        config: the configuration file; None searches for it.
        directory: the working directory.
        environ: the environment of the process.
        server_environment: a file with all variables of the server, which then counts in place of `environ`.
        release: the release whose names and defaults count.
        system_directory: `/etc/fluxbase`, except in tests.

    Returns:
        The configuration, and a reader of the settings of this program.

    Raises:
        ConfigurationError: a file can't be read.
    """
    unreadable: list[UnreadableFile] = []
    lines: dict[str, Place] = {}
    found = find_config_file(directory, config, system_directory).file
    document = None if found is None else _document(found, unreadable)
    dot_env = find_env_file(directory).file
    variables = EnvFile() if dot_env is None else _variables(dot_env, unreadable, lines)
    server_file = _server_file(document, Environment(environ, variables), directory, unreadable, lines)
    process = dict(environ)
    if server_environment is not None:
        file = SourceFile(directory / server_environment, str(server_environment))
        given: dict[str, Place] = {}
        process = dict(read_env_file(file).values)
        _note_lines(file, given)
        lines |= given
    else:
        lines = {name: place for name, place in lines.items() if name not in environ}
    environment = Environment(process, variables, server_file)
    leaves: dict[str, Value] = {}
    if document is not None:
        _flatten(document, leaves)
    configuration = ServerConfiguration(
        leaves,
        environment,
        release,
        complete=server_environment is not None,
        config_label=None if found is None else found.label,
        env_label=_environment_label(server_environment, dot_env),
        lines=lines,
        unreadable=tuple(unreadable),
        second_file=None if found is None or config is not None else _second(found, directory, system_directory),
        tracked=None if found is None else is_tracked(found.path),
    )
    return configuration, Reader(document, environment)


def _environment_label(server_environment: Path | None, dot_env: SourceFile | None) -> str | None:
    if server_environment is not None:
        return str(server_environment)
    return None if dot_env is None else dot_env.label


def _document(file: SourceFile, unreadable: list[UnreadableFile]) -> Value | None:
    """The file's content. None if the server skips it."""
    read_text(file)
    try:
        document = read_document(file)
        _flatten(document, {})
    except ConfigurationError as error:
        unreadable.append(UnreadableFile(Place("file", file.label, file.label, file.label, 1), error.message))
        return None
    return document


def _variables(file: SourceFile, unreadable: list[UnreadableFile], lines: dict[str, Place]) -> EnvFile:
    read_text(file)
    try:
        found = read_env_file(file)
    except ConfigurationError as error:
        unreadable.append(UnreadableFile(Place("file", file.label, file.label, file.label, 1), error.message))
        return EnvFile(file.label)
    _note_lines(file, lines)
    return _replaced(found)


def _replaced(file: EnvFile) -> EnvFile:
    """The variables after the replacements that the server's parser makes, in the order of the file.

    godotenv replaces `$NAME` and `${NAME}` by the value of a variable that the same file has before, and by nothing if
    there is none (`expandVariables` in its parser.go).
    """
    values: dict[str, str] = {}
    for name, value in file.values.items():
        values[name] = (
            _REFERENCE.sub(lambda match: _replacement(match, values), value) if name in file.ambiguous else value
        )
    return EnvFile(file.label, values)


def _replacement(match: re.Match[str], values: Mapping[str, str]) -> str:
    if match["escape"] or match["command"]:
        return match[0][1:]
    return values.get(match["name"], "") if match["name"] else match[0]


def _server_file(
    document: Value | None,
    environment: Environment,
    directory: Path,
    unreadable: list[UnreadableFile],
    lines: dict[str, Place],
) -> EnvFile | None:
    """The variables of `security.encryption.server.env_file`, if that file can be read."""
    try:
        path = read_server(Reader(document, environment), directory).env_file
        if path is None or not path.is_file():
            return None
        own: dict[str, Place] = {}
        found = _variables(SourceFile(path, str(path)), unreadable, own)
    except (ConfigurationError, OSError):
        # `config check` says what is wrong with it.
        return None
    for name, place in own.items():
        lines.setdefault(name, place)
    return found


def _note_lines(file: SourceFile, lines: dict[str, Place]) -> None:
    for number, line in enumerate(read_text(file).splitlines(), 1):
        name = _NAME.match(line)
        if name is not None:
            lines[name[1]] = Place("variable", name[1], f"{file.label}:{number}: {name[1]}", file.label, number)


def _flatten(section: Value, leaves: dict[str, Value]) -> None:
    for value in section.members().values():
        if value.is_mapping:
            _flatten(value, leaves)
        else:
            leaves[value.path] = value


def _second(found: SourceFile, directory: Path, system_directory: Path) -> str | None:
    """The next file of the search order that exists."""
    for path in _candidates(directory, system_directory, found.path):
        try:
            if path.is_file() and not path.samefile(found.path):
                return str(path.relative_to(directory)) if path.is_relative_to(directory) else str(path)
        except OSError:
            continue
    return None


def _candidates(directory: Path, system_directory: Path, found: Path) -> Iterator[Path]:
    everything = [directory / each for each in _PLACES]
    everything += [system_directory / "fluxbase.yaml", system_directory / "fluxbase.yml"]
    yield from everything[everything.index(found) + 1 :] if found in everything else ()
