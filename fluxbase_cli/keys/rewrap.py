"""Wraps the wrapped keys with another key of the key service. Sealed values do not change."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from fluxbase_cli.config import KeyEntry, Settings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import KeyRewrapper, refuse_other
from fluxbase_cli.keyring.options import text_option
from fluxbase_cli.keys.history import entry_of, history_over
from fluxbase_cli.keys.sources import KeySources, find_key_sources
from fluxbase_cli.store.connection import Connection, session
from fluxbase_cli.store.key_records import KeyEvent, KeyRecords
from fluxbase_cli.store.wrapped_keys import WrappedKeyStore


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """One key that was wrapped again.

    Attributes:
        version, fingerprint: the key, which is the same as before.
        source: where its wrapped form is stored.
        wrapping_key: the key that wraps it now.
        setting: the settings that its entry in the configuration needs now; empty if the database stores the key.
    """

    version: int
    fingerprint: str
    source: str
    wrapping_key: str
    setting: Mapping[str, str]


def rewrap_keys(
    settings: Settings, environ: Mapping[str, str], wrapping_key: str, *, warn: Callable[[str], None]
) -> tuple[Rewrapped, ...]:
    """Wrap every wrapped key with another key of the key service. After an error, run it again: it does what is left.

    Args:
        settings: the configuration.
        environ: the environment, for providers that need credentials.
        wrapping_key: the new wrapping key.
        warn: called with warnings for the operator.

    Raises:
        ConfigurationError: there is no wrapped key, or the key service refuses.
        DatabaseError: the database can't be reached.
    """
    with session(settings.database) as connection:
        history = history_over(connection)
        sources = find_key_sources(settings.encryption, history, environ, warn)
        entries = of_one_provider(
            [entry for _, entry in sorted(sources.entries.items()) if "ciphertext" in entry.options],
            sources.provider_for_new(max(sources.entries, default=0) + 1),
            warn,
        )
        if not entries:
            raise ConfigurationError(
                "no key is kept wrapped, neither in the configuration nor in the database",
                hint="`fluxbase-cli keys generate --store` makes one with a provider that wraps keys, as aws_kms does.",
            )
        return tuple(_rewrap(connection, sources, entry, wrapping_key) for entry in entries)


def of_one_provider(entries: list[KeyEntry], name: str, warn: Callable[[str], None]) -> list[KeyEntry]:
    """The entries of the provider that wraps new keys. A wrapping key belongs to one key service.

    Args:
        entries: all wrapped keys. If they have one provider, all are taken.
        name: the provider that wraps new keys.
        warn: called for each key that is left out.
    """
    if len({entry.provider for entry in entries}) <= 1:
        return entries
    for entry in entries:
        if entry.provider != name:
            warn(
                f"key version {entry.version} is wrapped by the provider {entry.provider}, and is left as it is; "
                f"to rewrap it, set security.encryption.provider to {entry.provider}"
            )
    return [entry for entry in entries if entry.provider == name]


def _rewrap(connection: Connection, sources: KeySources, entry: KeyEntry, wrapping_key: str) -> Rewrapped:
    provider = sources.provider(entry.provider)
    if not isinstance(provider, KeyRewrapper):
        raise ConfigurationError(
            f"the provider '{entry.provider}' can't wrap the key at {entry.source} again",
            hint="Set `provider:` of that entry to the one that wrapped the key: aws_kms or vault_transit.",
        )
    created = provider.rewrap(entry, wrapping_key)
    if entry.recorded not in (None, created.fingerprint):
        # A fingerprint of an earlier release has another form, so the key itself is compared. It is opened in its new
        # form, because a run that was interrupted may have wrapped it with the new key already.
        refuse_other(entry, provider.fetch(replace(created.entry, recorded=None)))
    wrapped_by = text_option(created.entry, "kms_key_id") or wrapping_key
    kept = WrappedKeyStore(connection)
    row = None if entry.version in sources.encryption.versions else kept.get(entry.version)
    if row is None:
        return Rewrapped(entry.version, created.fingerprint, entry.source, wrapped_by, created.setting)
    with connection.transaction():
        ciphertext = base64.b64decode(text_option(created.entry, "ciphertext") or "")
        replaced = kept.replace(row, kms_key_id=wrapped_by, ciphertext=ciphertext)
        KeyRecords(connection).add(
            KeyEvent.REWRAPPED,
            entry.version,
            created.fingerprint,
            detail={"from": row.kms_key_id, "to": wrapped_by},
        )
    return Rewrapped(entry.version, created.fingerprint, entry_of(replaced).source, wrapped_by, {})
