"""Finds and reads the files of the server's configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fluxbase_cli.config.document import Value, read_document
from fluxbase_cli.config.environment import EnvFile, Environment, read_env_file
from fluxbase_cli.config.files import (
    SYSTEM_DIRECTORY,
    SourceFile,
    config_candidates,
    find_config_file,
    find_env_file,
    loaded,
)
from fluxbase_cli.config.reader import Reader
from fluxbase_cli.config.server import read_server
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.security.configuration.reading import ServerConfiguration, UnreadableFile
from fluxbase_cli.security.finding import Place

#: As godotenv's `expandVarRegex`.
_REFERENCE = re.compile(r"(?P<escape>\\)?\$(?P<command>\()?\{?(?P<name>[A-Z0-9_]+)?\}?")


def open_configuration(
    *,
    config: Path | SourceFile | None,
    directory: Path,
    environ: Mapping[str, str],
    server_environment: Path | None = None,
    system_directory: Path = SYSTEM_DIRECTORY,
) -> tuple[ServerConfiguration, Reader]:
    """Read fluxbase.yaml, `.env` and the environment as the server does. Each file is read once.

    Args:
        config: the configuration file; None searches for it.
        directory: the working directory.
        environ: the environment of the process.
        server_environment: a file with all variables of the server, which then counts in place of `environ`.
        system_directory: `/etc/fluxbase`, except in tests.

    Returns:
        The configuration, and a reader of the settings of this program.

    Raises:
        ConfigurationError: a file can't be read.
    """
    unreadable: list[UnreadableFile] = []
    search = find_config_file(directory, config, system_directory).file
    found = None if search is None else loaded(search)
    document, leaves = (None, {}) if found is None else _document(found, unreadable)
    dot_env = find_env_file(directory).file
    variables = EnvFile() if dot_env is None else _variables(dot_env, unreadable)
    home = directory if found is None else found.path.parent
    server_file = _server_file(document, Environment(environ, variables), home, unreadable)
    lines = {**_lines(server_file), **_lines(variables)}
    if server_environment is None:
        process: Mapping[str, str] = environ
        lines = {name: place for name, place in lines.items() if name not in environ}
    else:
        given = read_env_file(SourceFile(directory / server_environment, str(server_environment), option="--env-file"))
        process = given.values
        lines |= _lines(given)
    environment = Environment(process, variables, server_file)
    configuration = ServerConfiguration(
        leaves,
        environment,
        complete=server_environment is not None,
        config_file=found,
        env_label=_environment_label(server_environment, dot_env),
        lines=lines,
        unreadable=tuple(unreadable),
        second_file=None if found is None or config is not None else _second(found, directory, system_directory),
    )
    return configuration, Reader(document, environment)


def _environment_label(server_environment: Path | None, dot_env: SourceFile | None) -> str | None:
    if server_environment is not None:
        return str(server_environment)
    return None if dot_env is None else dot_env.label


def _document(file: SourceFile, unreadable: list[UnreadableFile]) -> tuple[Value | None, dict[str, Value]]:
    """The file's content, and its settings by their paths. None if the server skips it."""
    leaves: dict[str, Value] = {}
    try:
        document = read_document(file)
        _flatten(document, leaves)
    except ConfigurationError as error:
        unreadable.append(_unreadable(file, error))
        return None, {}
    return document, leaves


def _variables(file: SourceFile, unreadable: list[UnreadableFile]) -> EnvFile:
    file = loaded(file)
    try:
        return _replaced(read_env_file(file))
    except ConfigurationError as error:
        unreadable.append(_unreadable(file, error))
        return EnvFile(file.label)


def _unreadable(file: SourceFile, error: ConfigurationError) -> UnreadableFile:
    return UnreadableFile(Place("file", file.label, file.label, file.label, 1), error.message)


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
    return replace(file, values=values, ambiguous=frozenset())


def _replacement(match: re.Match[str], values: Mapping[str, str]) -> str:
    if match["escape"] or match["command"]:
        return match[0][1:]
    return values.get(match["name"], "") if match["name"] else match[0]


def _server_file(
    document: Value | None, environment: Environment, home: Path, unreadable: list[UnreadableFile]
) -> EnvFile | None:
    """The variables of `security.encryption.server.env_file`, if that file can be read."""
    try:
        path = read_server(Reader(document, environment), home).env_file
        if path is None or not path.is_file():
            return None
        return _variables(SourceFile(path, str(path)), unreadable)
    except (ConfigurationError, OSError):
        # `config check` says what is wrong with it.
        return None


def _lines(file: EnvFile | None) -> dict[str, Place]:
    """Where the variables of a file are."""
    if file is None:
        return {}
    return {
        name: Place("variable", name, f"{file.label}:{line}: {name}", file.label, line)
        for name, line in file.lines.items()
    }


def _flatten(section: Value, leaves: dict[str, Value]) -> None:
    for value in section.members().values():
        if value.is_mapping:
            _flatten(value, leaves)
        else:
            leaves[value.path] = value


def _second(found: SourceFile, directory: Path, system_directory: Path) -> str | None:
    """The next file of the search order that exists."""
    candidates = config_candidates(directory, system_directory)
    for each in candidates[candidates.index(found) + 1 :]:
        try:
            if each.path.is_file() and not each.path.samefile(found.path):
                return each.label
        except OSError:
            continue
    return None
