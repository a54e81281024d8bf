"""All settings together, and the function that reads them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase_cli.config.database import DatabaseSettings, read_database
from fluxbase_cli.config.encryption import EncryptionSettings, read_encryption
from fluxbase_cli.config.environment import EnvFile, Environment, read_env_file
from fluxbase_cli.config.files import SYSTEM_DIRECTORY, SourceFile, find_config_file, find_env_file
from fluxbase_cli.config.key_entries import has_keys, has_server_key
from fluxbase_cli.config.reader import Reader
from fluxbase_cli.config.server import ServerKeyring, read_server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fluxbase_cli.config.document import Value
    from fluxbase_cli.config.files import Search
    from fluxbase_cli.config.server import ServerSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration. Its `repr` shows no secret.

    Attributes:
        config_file: the fluxbase.yaml that was read, if any.
        env_file: the `.env` file that was read, if any.
        database: the address of the database.
        encryption: the keys.
        warnings: warnings for the operator, one sentence each, without secrets.
    """

    config_file: Path | None
    env_file: Path | None
    database: DatabaseSettings
    encryption: EncryptionSettings
    warnings: tuple[str, ...] = ()


def load_settings(  # noqa: PLR0913  # what the settings are read from
    *,
    config: Path | SourceFile | None = None,
    database_url: str | None = None,
    directory: Path,
    environ: Mapping[str, str],
    system_directory: Path = SYSTEM_DIRECTORY,
    destroyed: frozenset[int] = frozenset(),
) -> Settings:
    """Read fluxbase.yaml, `.env` and the environment as the server does, with the additional settings of this tool.

    Args:
        config: the configuration file, which may have been read already; None searches for it.
        database_url: a connection string that overrides all other settings of the database.
        directory: the working directory.
        environ: the environment of the process.
        system_directory: `/etc/fluxbase`, except in tests.
        destroyed: key versions whose entries may refer to variables that are not set any more.

    Raises:
        UnsetKeyError: a key's entry refers to a variable that is not set.
        ConfigurationError: a setting can't be used. The message names its place, and never its value.
    """
    server, reader, env_search, config_search = _open(config, directory, environ, system_directory)
    database = read_database(reader, database_url)
    encryption, warnings = read_encryption(
        reader, server, home=_home(config_search, directory), directory=directory, destroyed=destroyed
    )
    return Settings(
        config_file=None if config_search.file is None else config_search.file.path,
        env_file=None if env_search.file is None else env_search.file.path,
        database=database,
        encryption=encryption,
        warnings=(*env_search.warnings, *config_search.warnings, *_warnings_of_dollars(reader), *warnings),
    )


def knows_one_key(
    *, config: Path | None, directory: Path, environ: Mapping[str, str], system_directory: Path = SYSTEM_DIRECTORY
) -> bool | None:
    """Whether the server knows one key only. None if the configuration says nothing about keys.

    Reads nothing else, so that a key can be made before the rest of the configuration is complete.

    Args:
        config: the configuration file; None searches for it.
        directory: the working directory.
        environ: the environment of the process.
        system_directory: `/etc/fluxbase`, except in tests.

    Raises:
        ConfigurationError: a file can't be read.
    """
    server, reader = _open(config, directory, environ, system_directory)[:2]
    if server.keyring is not ServerKeyring.AUTO:
        return server.keyring is ServerKeyring.SINGLE
    if has_server_key(reader):
        return True
    return False if has_keys(reader) else None


def _open(
    config: Path | SourceFile | None, directory: Path, environ: Mapping[str, str], system_directory: Path
) -> tuple[ServerSettings, Reader, Search, Search]:
    """The section of the server, a reader of everything else, and what the searches for the two files found."""
    env_search = find_env_file(directory)
    env_file = EnvFile() if env_search.file is None else read_env_file(env_search.file)
    config_search = find_config_file(directory, config, system_directory)
    document = None if config_search.file is None else _read_document(config_search.file)
    server = read_server(Reader(document, Environment(environ, env_file)), _home(config_search, directory))
    reader = Reader(document, _environment(environ, env_file, env_search.file, server))
    return server, reader, env_search, config_search


def _home(config_search: Search, directory: Path) -> Path:
    """The folder at which relative paths in the configuration start: that of the file, if there is one."""
    return directory if config_search.file is None else config_search.file.path.parent


def _environment(
    environ: Mapping[str, str], env_file: EnvFile, found: SourceFile | None, server: ServerSettings
) -> Environment:
    """The variables, with those of the server's own file.

    If that file does not exist, the commands that need it say so (`config check`, `rotation run`).
    """
    path = server.env_file
    # Unlike `Path.exists`, `os.path.exists` never raises.
    if path is None or not os.path.exists(path):  # noqa: PTH110
        return Environment(environ, env_file)
    if found is not None and found.path.samefile(path):
        return Environment(environ, EnvFile(), env_file)
    return Environment(environ, env_file, read_env_file(SourceFile(path, str(path))))


def _read_document(file: SourceFile) -> Value:
    # PyYAML is imported only if there is such a file, to save start-up time.
    from fluxbase_cli.config.document import read_document  # noqa: PLC0415  # start-up time

    return read_document(file)


def _warnings_of_dollars(reader: Reader) -> tuple[str, ...]:
    return tuple(
        f"{variable.place} has a $ in it, which the server replaces (we don't): put the value in single quotes"
        for name in sorted(reader.used_variables)
        if reader.environment.is_ambiguous(name) and (variable := reader.environment.get(name))
    )
