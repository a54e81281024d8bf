"""Enables a disabled key again: takes back the first step of its destruction."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fluxbase_cli.config import Settings
from fluxbase_cli.errors import ExitCode, FluxbaseCliError
from fluxbase_cli.keyring import Key
from fluxbase_cli.keys.history import KeyState, history_over, read_history
from fluxbase_cli.keys.loader import open_keyring
from fluxbase_cli.moments import moment_text
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.fingerprints import replace_former
from fluxbase_cli.store.key_records import KeyEvent, KeyRecord, KeyRecords
from fluxbase_cli.store.schema import Schema


class CheckRefusedError(FluxbaseCliError):
    """A check refused the request. Nothing was changed."""

    exit_code = ExitCode.CHECK_SAYS_NO


def enable_key(settings: Settings, environ: Mapping[str, str], version: int, *, warn: Callable[[str], None]) -> Key:
    """Enable a key again. If it is enabled already, do nothing.

    Returns:
        The key, which is enabled now.

    Raises:
        CheckRefusedError: the key was destroyed, or is being destroyed now.
        ConfigurationError, DatabaseError: the key or the database can't be reached.
    """
    _refuse_destroyed(read_history(settings.database).last(version))
    key = open_keyring(settings, environ, warn=warn).key(version)
    with session(settings.database) as connection, connection.transaction():
        records = KeyRecords(connection)
        records.hold()
        Schema(connection).ensure()
        replace_former(connection, [(key.former_fingerprint, key.fingerprint)])
        history = history_over(connection)
        last = history.last(version, key.fingerprint)
        _refuse_destroyed(last)
        if last is not None and last.what is KeyEvent.DESTROYING and records.is_destroying():
            raise CheckRefusedError(
                f"key version {version} is being destroyed now, by {last.os_user} on {last.host}",
                hint="Wait until that has ended. `fluxbase-cli keys list` shows its state.",
            )
        if history.state(version, key.fingerprint) is not KeyState.ENABLED:
            records.add(KeyEvent.ENABLED, version, key.fingerprint, detail={"source": key.source})
    return key


def _refuse_destroyed(last: KeyRecord | None) -> None:
    if last is None or last.what is not KeyEvent.DESTROYED:
        return
    raise CheckRefusedError(
        f"key version {last.version} (fingerprint {last.fingerprint}) was destroyed on "
        f"{moment_text(last.at)} by {last.os_user}",
        hint="A destroyed key can't be enabled. If you still have the key, configure it under a new version.",
    )
