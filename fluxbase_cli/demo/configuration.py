"""The lines of a server's postgresql.conf."""

from __future__ import annotations

import re

from fluxbase_cli.errors import ConfigurationError

_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


def configuration_line(name: str, value: str) -> bytes:
    """One line of postgresql.conf.

    Raises:
        ConfigurationError: the name can't be that of a setting, or the value holds a line break.
    """
    if not _SETTING_NAME.fullmatch(name) or not value.isprintable():
        message = f"{name!r} is not the name of a PostgreSQL setting, or its value is not plain text"
        raise ConfigurationError(message)
    quoted = value.replace("\\", "\\\\").replace("'", "''")
    return f"{name} = '{quoted}'\n".encode()
