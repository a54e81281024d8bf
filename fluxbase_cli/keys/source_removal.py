"""Destroys a key in its source, and checks that it is gone."""

from __future__ import annotations

from fluxbase_cli.config import KeyEntry
from fluxbase_cli.config.provider_traits import TEXT_PROVIDER
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import KeyDestroyer, KeyElsewhereError
from fluxbase_cli.keys.sources import KeySources
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.wrapped_keys import WrappedKeyStore


def destroy_at_its_place(
    connection: Connection, sources: KeySources, entry: KeyEntry | None
) -> tuple[bool, tuple[str, ...]]:
    """Destroy a key in its source.

    Args:
        connection: the database, which may store the wrapped key.
        sources: which provider keeps which key.
        entry: the key's entry; None if it has none any more.

    Returns:
        Whether the tool has checked that the key is gone, and what only the operator can remove.

    Raises:
        ConfigurationError: the source refuses or can't be reached, or the key still exists.
    """
    if entry is None:
        return True, ()
    configured = sources.encryption.versions
    if entry.version not in configured:
        wrapped = WrappedKeyStore(connection)
        wrapped.delete(entry.version)
        if wrapped.get(entry.version) is not None:
            raise ConfigurationError(
                f"the key at {entry.source} is still there after it was deleted",
                hint="Remove it there by hand, then run the same command again.",
            )
        left = "backups of the database still hold the wrapped form, and the key that wraps it opens those"
        return True, (left,)
    provider = sources.provider(entry.provider)
    try:
        if isinstance(provider, KeyDestroyer):
            provider.destroy(entry)
            if provider.exists(entry):
                raise ConfigurationError(
                    f"the key at {entry.source} is still there after it was destroyed",
                    hint="Check that nobody writes it there again, then run the same command again.",
                )
            # For the provider of text, the key's line was its entry.
            left_entry = f"the entry at {entry.source} can be removed from the configuration"
            return True, () if entry.provider == TEXT_PROVIDER else (left_entry,)
    except KeyElsewhereError:
        # It is in another place than the one in which this provider makes keys.
        pass
    place = sources.source(entry)
    return False, (f"remove the key from {place}, and from the place that it is filled from; then restart the server",)
