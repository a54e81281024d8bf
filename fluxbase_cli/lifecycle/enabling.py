"""Taking the first step of a key's destruction back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fluxbase_cli.config import Settings
from fluxbase_cli.errors import ExitCode, FluxbaseCliError
from fluxbase_cli.keyring import Key
from fluxbase_cli.lifecycle.opening import open_keyring
from fluxbase_cli.lifecycle.register import KeyState, read_register
from fluxbase_cli.store.connect import session
from fluxbase_cli.store.key_records import KeyEvent, KeyRecords


class CheckRefusedError(FluxbaseCliError):
    """A check says no; nothing was changed."""

    exit_code = ExitCode.CHECK_SAYS_NO


def enable_key(settings: Settings, environ: Mapping[str, str], version: int, *, warn: Callable[[str], None]) -> Key:
    """Take the first step of a destruction back.

    Returns:
        The key, which is enabled now; it may have been all the time.

    Raises:
        CheckRefusedError: it was destroyed.
        ConfigurationError, DatabaseError: the key or the database can't be had.
    """
    register = read_register(settings.database)
    last = register.last(version)
    if last is not None and last.what is KeyEvent.DESTROYED:
        raise CheckRefusedError(
            f"key version {version} (fingerprint {last.fingerprint}) was destroyed on "
            f"{last.at.astimezone():%Y-%m-%d %H:%M} by {last.os_user}",
            hint="What is destroyed can't be enabled. Should the key still be somewhere, configure it under a new "
            "version.",
        )
    key = open_keyring(settings, environ, warn=warn).key(version)
    if register.state(version, key.fingerprint) is not KeyState.ENABLED:
        with session(settings.database) as connection:
            KeyRecords(connection).add(KeyEvent.ENABLED, version, key.fingerprint, detail={"source": key.source})
    return key
