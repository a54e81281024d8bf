"""Whether an automatic rotation suits the server, which may know one key or several."""

from __future__ import annotations

from fluxbase_cli.config import ServerKeyring, Settings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.printable import Lines, lines
from fluxbase_cli.server.check import settings_to_add
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.preflight import inspect

_VERSIONED = Lines("security:\n  encryption:\n    server:\n      keyring: versioned\n")


def refuse_unsuited(settings: Settings) -> None:
    """Raise an error if a rotation that nobody watches could leave a server that reads nothing.

    Raises:
        ConfigurationError: the hint has the lines to add to the configuration.
        DatabaseError: the database can't be reached.
    """
    encryption = settings.encryption
    if encryption.is_single and not encryption.server.is_configured:
        raise ConfigurationError(
            "the server knows one key, and nothing says how it is stopped, given a new key and started",
            hint=lines(
                (
                    "Add to fluxbase.yaml, with your own commands:",
                    "",
                    settings_to_add(),
                    "Or rotate by hand: docs/operators/rotate-today.md.",
                )
            ),
        )
    if encryption.is_single or encryption.server.keyring is ServerKeyring.VERSIONED:
        return
    with session(settings.database) as connection:
        release = inspect(connection, write=False).release
    if release.knows_one_key:
        raise ConfigurationError(
            f"this is the database of a server that knows one key (release {release.name}), and the configuration has "
            "keys with versions, which that server does not read",
            hint=lines(
                (
                    "For such a server, add to fluxbase.yaml, with your own commands:",
                    "",
                    settings_to_add(),
                    "If your server reads security.encryption.keys, add instead:",
                    "",
                    _VERSIONED,
                )
            ),
        )
