"""Destroying a key at the place where it is kept, and looking whether it is gone."""

from __future__ import annotations

from fluxbase_cli.config import KeyEntry
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import KeyDestroyer
from fluxbase_cli.keys.sources import KeySources
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.wrapped_keys import WrappedKeyStore


def destroy_at_its_place(
    connection: Connection, sources: KeySources, entry: KeyEntry | None
) -> tuple[bool, tuple[str, ...]]:
    """Destroy a key.

    Args:
        connection: the database, which may keep it wrapped.
        sources: who keeps which key.
        entry: the key's entry; None where it has none any more.

    Returns:
        Whether it was seen to be gone, and what only the operator can remove.

    Raises:
        ConfigurationError: its place refuses or can't be reached, or the key is still there.
    """
    if entry is None:
        return True, ()
    configured = sources.encryption.versions
    if entry.version not in configured:
        wrapped = WrappedKeyStore(connection)
        wrapped.delete(entry.version)
        if wrapped.get(entry.version) is not None:
            raise ConfigurationError(f"the key at {entry.source} is still there after it was deleted")
        left = "backups of the database still hold the wrapped form, and the KMS key that wraps it opens those"
        return True, (left,)
    provider = sources.provider(entry.provider)
    if isinstance(provider, KeyDestroyer):
        provider.destroy(entry)
        if provider.exists(entry):
            raise ConfigurationError(
                f"the key at {entry.source} is still there after it was destroyed",
                hint="Did somebody write it anew at the same moment? Run the same command again.",
            )
        return True, (f"the entry at {entry.source} can go from the configuration",)
    left = f"remove the key from {entry.source}, and from wherever that is filled from; then restart the server"
    return False, (left,)
