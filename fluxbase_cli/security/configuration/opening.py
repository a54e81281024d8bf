"""Finds and reads the files of the server's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fluxbase_cli.config.document import read_document
from fluxbase_cli.config.environment import EnvFile, Environment, read_env_file
from fluxbase_cli.config.files import SYSTEM_DIRECTORY, find_config_file, find_env_file
from fluxbase_cli.security.configuration.reading import ServerConfiguration


def open_configuration(
    *,
    config: Path | None,
    directory: Path,
    environ: Mapping[str, str],
    system_directory: Path = SYSTEM_DIRECTORY,
) -> ServerConfiguration:
    """Read fluxbase.yaml, `.env` and the environment as the server does.

    Args:
        config: the configuration file; None searches for it.
        directory: the working directory.
        environ: the environment of the process.
        system_directory: `/etc/fluxbase`, except in tests.

    Raises:
        ConfigurationError: a file can't be read.
    """
    env_file = find_env_file(directory).file
    variables = EnvFile() if env_file is None else read_env_file(env_file)
    config_file = find_config_file(directory, config, system_directory).file
    return ServerConfiguration(
        None if config_file is None else read_document(config_file),
        Environment(environ, variables),
        None if config_file is None else config_file.path,
        None if env_file is None else env_file.path,
    )
