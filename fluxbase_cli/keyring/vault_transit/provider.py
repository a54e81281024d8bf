"""Envelope encryption with Vault's engine `transit`: a key in Vault wraps our key, and only the wrapped key is kept.

The wrapped key is the `ciphertext` of a key's entry, or a row of the database. It is bound to its version (associated
data of AES-GCM), so the wrapped key of one version is not accepted for another version. The key itself is only in the
memory of this process and of Vault.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from fluxbase_cli import seal
from fluxbase_cli.config import KeyEntry, Secret
from fluxbase_cli.config.provider_traits import TRANSIT_PREFIX, TRANSIT_PROVIDER
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.envelope import ciphertext_of, of_key_length, refuse_taken
from fluxbase_cli.keyring.material import generate_key, parse_key
from fluxbase_cli.keyring.options import text_option
from fluxbase_cli.keyring.provider import CreatedKey, ProviderContext
from fluxbase_cli.keyring.vault.client import make_client
from fluxbase_cli.keyring.vault_transit.engine import Transit, WrappingKey, parse_wrapping_key


@dataclass(frozen=True, slots=True)
class _Wrapped:
    """A wrapped key.

    Attributes:
        ciphertext: as Vault returned it, `vault:v1:…`.
        key: the key that wraps it.
        bound_to: the associated data.
    """

    ciphertext: str = field(repr=False)
    key: WrappingKey
    bound_to: str


class VaultTransitKeyProvider:
    """Wraps, unwraps and rewraps keys with Vault. Where Vault is, and how to log in, is configured as for `vault`.

    Args:
        context: the configuration and the environment.

    Raises:
        ConfigurationError: a setting can't be used.
    """

    def __init__(self, context: ProviderContext) -> None:
        self._context = context
        self._transit = Transit(make_client(context.encryption.vault, context.environ, context.warn))

    def fetch(self, entry: KeyEntry) -> bytes:
        """Return the key of the entry, unwrapped by Vault.

        Raises:
            KeyAbsentError: the entry has no ciphertext.
            ConfigurationError: the entry can't be used, or Vault does not unwrap it.
        """
        failed = f"the key at {entry.source} can't be opened"
        return self._open_named(entry, self._read(entry), self._context.encryption.wrapping_keys, failed)

    def create(self, version: int, known: tuple[KeyEntry, ...]) -> CreatedKey:
        """Make a key here, let Vault wrap it, and unwrap it once. The caller must store the wrapped key.

        Raises:
            ConfigurationError: that version has a key already, no `kms_key_id` is configured, or Vault refuses.
        """
        entry = next((each for each in known if each.version == version), None)
        if entry is not None:
            refuse_taken(entry, "associated_data", otherwise_bound=_bound_to_of(entry) != _bound_to(version))
        secret = parse_key(generate_key(self._context.encoding), "the new key")
        failed = f"Vault can't make key version {version}"
        return self._wrap(_empty(version), secret, self._wrapping_key(entry), _bound_to(version), failed)

    def store(self, version: int, secret: bytes, known: tuple[KeyEntry, ...]) -> CreatedKey:
        """Let Vault wrap a key that exists already, and unwrap it once. The caller must store the wrapped key.

        Raises:
            ConfigurationError: as for `create`.
        """
        entry = next((each for each in known if (each.version, each.provider) == (version, TRANSIT_PROVIDER)), None)
        failed = f"Vault can't wrap key version {version}"
        return self._wrap(_empty(version), secret, self._wrapping_key(entry), _bound_to(version), failed)

    def rewrap(self, entry: KeyEntry, wrapping_key: str) -> CreatedKey:
        """Wrap the same key with another key of Vault, or with the newest version of the present one.

        Raises:
            KeyAbsentError: the entry has no ciphertext.
            ConfigurationError: the entry can't be used, or Vault refuses.
        """
        failed = f"the key at {entry.source} can't be rewrapped"
        target = parse_wrapping_key(wrapping_key, f"{failed}: --kms-key-id")
        # A run that was interrupted may have wrapped it with the new key already.
        old = self._read(entry)
        secret = self._open_named(entry, old, (*self._context.encryption.wrapping_keys, wrapping_key), failed)
        return self._wrap(replace(entry, recorded=None), secret, target, old.bound_to, failed)

    def _wrapping_key(self, entry: KeyEntry | None) -> WrappingKey:
        own = text_option(entry, "kms_key_id") if entry else None
        name = own or self._context.encryption.kms_key_id
        if not name:
            raise ConfigurationError(
                "no wrapping key is configured for Vault",
                hint="Set security.encryption.kms_key_id to the mount and the name of a key, as in transit/fluxbase.",
            )
        return parse_wrapping_key(name, f"kms_key_id at {entry.source}" if own and entry else "kms_key_id")

    def _wrap(self, entry: KeyEntry, secret: bytes, key: WrappingKey, bound_to: str, failed: str) -> CreatedKey:
        """Wrap a key. Other fields of the entry stay."""
        wrapped = _Wrapped(self._transit.wrap(key, secret, bound_to, failed), key, bound_to)
        # Nothing may be sealed under a key that can't be unwrapped again.
        if not hmac.compare_digest(self._open(wrapped, failed), secret):
            raise ConfigurationError(
                f"{failed}: what it wrapped opens to another key",
                hint="Nothing was sealed under it. Run the command again; if it happens again, report it as a fault.",
            )
        options = {
            **entry.options,
            "ciphertext": Secret(base64.b64encode(wrapped.ciphertext.encode("ascii")).decode("ascii")),
            "kms_key_id": Secret(str(key)),
        }
        return CreatedKey(
            replace(entry, source=f"Vault {key}", options=MappingProxyType(options)),
            seal.fingerprint(secret),
            {"provider": TRANSIT_PROVIDER, "kms_key_id": str(key), "ciphertext": wrapped.ciphertext},
        )

    def _open_named(self, entry: KeyEntry, wrapped: _Wrapped, names: tuple[str, ...], failed: str) -> bytes:
        """Open a key. What the database says of a wrapped key is not trusted: one of the names must be its key."""
        named = {name.strip().strip("/") for name in names}
        if entry.recorded is not None and str(wrapped.key) not in named:
            raise ConfigurationError(
                f"{failed}: the database says that the key {wrapped.key} of Vault wraps it, and the configuration "
                f"names {', '.join(names) or 'none'}",
                hint="It is not used. If that key is yours, name it in security.encryption: as kms_key_id if it wraps "
                "new keys too, else in previous_kms_key_ids. If not, this row belongs to another installation.",
            )
        return self._open(wrapped, failed)

    def _open(self, wrapped: _Wrapped, failed: str) -> bytes:
        secret = self._transit.unwrap(wrapped.key, wrapped.ciphertext, wrapped.bound_to, failed)
        return of_key_length(secret, "Vault", failed)

    def _read(self, entry: KeyEntry) -> _Wrapped:
        """Read the wrapped key from an entry.

        Raises:
            KeyAbsentError: it has no ciphertext.
            ConfigurationError: a field of it can't be used.
        """
        text = ciphertext_of(entry, "Vault")
        return _Wrapped(_ciphertext(text, entry), self._wrapping_key(entry), _bound_to_of(entry))


def _empty(version: int) -> KeyEntry:
    return KeyEntry(version, TRANSIT_PROVIDER, "", Secret(""))


def _bound_to(version: int) -> str:
    """The associated data with which the key of a version is wrapped. It is not secret."""
    return f"app=fluxbase,key_version={version}"


def _bound_to_of(entry: KeyEntry) -> str:
    """The associated data of the key of an entry: its own, which may be empty, else that of its version."""
    if "associated_data" in entry.options:
        return text_option(entry, "associated_data") or ""
    return _bound_to(entry.version)


def _ciphertext(text: str, entry: KeyEntry) -> str:
    """A ciphertext, as Vault prints it or in base64. YAML may fold a long text."""
    plain = "".join(text.split())
    if not plain.startswith(TRANSIT_PREFIX):
        try:
            plain = base64.b64decode(plain, validate=True).decode("ascii")
        except ValueError:
            plain = ""
    if not plain.startswith(TRANSIT_PREFIX) or not (plain.isascii() and plain.isprintable()):
        raise ConfigurationError(
            f"the ciphertext at {entry.source} is not what Vault's engine transit makes",
            hint="Write it in full, as Vault printed it: it begins with vault:v1: (or another number).",
        )
    return plain
