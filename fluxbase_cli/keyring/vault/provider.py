"""The provider `vault`: fetches keys from Vault, makes them, destroys them and reads their age."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from fluxbase_cli import seal
from fluxbase_cli.config import ActivePointer, KeyEntry, Secret
from fluxbase_cli.config.reader import MAX_INTEGER
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.material import generate_key, looks_like_key, parse_key
from fluxbase_cli.keyring.pattern import other_entries, own_entry
from fluxbase_cli.keyring.provider import CreatedKey, KeyAbsentError, ProviderContext
from fluxbase_cli.keyring.vault.client import make_client
from fluxbase_cli.keyring.vault.kv import Engines
from fluxbase_cli.keyring.vault.reference import Reference, parse_reference

NAME = "vault"


class VaultKeyProvider:
    """Keys in Vault's engine `kv`. The first request is sent when the first key is needed.

    Args:
        context: `encryption.vault` and Vault's standard variables say where Vault is and how to log in.

    Raises:
        ConfigurationError: a setting can't be used.
    """

    def __init__(self, context: ProviderContext) -> None:
        self._context = context
        self._client = make_client(context.encryption.vault, context.environ, context.warn)
        self._engines = Engines(self._client)
        self._created_at: dict[str, datetime | None] = {}

    def fetch(self, entry: KeyEntry) -> bytes:
        """Return the key of one entry. It takes one request, and one for the mount if that is not known yet.

        Raises:
            KeyAbsentError: there is no secret, or it was deleted or destroyed.
            ConfigurationError: Vault can't be reached or refuses, or there is no key in that field.
        """
        with _at(entry.source):
            reference = parse_reference(entry.value.reveal(), "the reference")
            stored = self._engines.of(reference.path).read(reference.path)
            self._created_at[reference.path] = stored.created_at
            if reference.field not in stored.fields:
                names = _shown(stored.fields) or "none"
                raise ConfigurationError(
                    f"the secret at {reference.path} in {self._client.name} has no field {reference.field}",
                    hint=f"Name another with `#field`. Its fields: {names}.",
                )
            text = stored.fields[reference.field]
            if not isinstance(text, str):
                raise ConfigurationError(
                    f"the field {reference.field} of the secret at {reference.path} in {self._client.name} is not text",
                    hint="Write the key as text: 64 hex digits, for example.",
                )
        return parse_key(text, f"{entry.source} (Vault: {reference})")

    def create(self, version: int, known: tuple[KeyEntry, ...]) -> CreatedKey:
        """Make a new key, and write it where there is and was no secret (check-and-set).

        Raises:
            ConfigurationError: there is or was a secret, the place is unknown, or Vault refuses.
        """
        reference = _place_of(version, known)
        text = generate_key(self._context.encoding)
        place = f"Vault: {reference}"
        with _at(f"key version {version}"):
            engine = self._engines.of(reference.path)
            if not engine.has_check_and_set:
                self._context.warn(
                    f"the mount of {reference.path} is a KV version 1, without check-and-set and without history: "
                    "a write by somebody else at this moment is not noticed; "
                    "`vault kv enable-versioning` makes it a version 2"
                )
            if not engine.write_first(reference.path, {reference.field: text}):
                raise self._occupied(reference)
        return CreatedKey(
            entry=KeyEntry(version, NAME, place, Secret(reference.template)),
            fingerprint=seal.fingerprint(parse_key(text, place)),
            setting={"key": reference.template},
        )

    def find(self, version: int, known: tuple[KeyEntry, ...]) -> CreatedKey | None:
        """The key at the place where `create` would write one of that version. None if there is none.

        Raises:
            ConfigurationError: the place is unknown, or Vault can't be reached or refuses.
        """
        reference = _place_of(version, known)
        entry = KeyEntry(version, NAME, f"Vault: {reference}", Secret(reference.template))
        try:
            secret = self.fetch(entry)
        except KeyAbsentError:
            return None
        return CreatedKey(entry, seal.fingerprint(secret), {"key": reference.template})

    def exists(self, entry: KeyEntry) -> bool:
        """Whether anything is left at the place of the key. In a KV version 2, metadata alone counts too.

        Raises:
            ConfigurationError: Vault can't be reached or refuses.
        """
        with _at(entry.source):
            reference = parse_reference(entry.value.reveal(), "the reference")
            return self._engines.of(reference.path).exists(reference.path)

    def destroy(self, entry: KeyEntry) -> None:
        """Destroy the whole secret, with all versions and its metadata.

        Raises:
            ConfigurationError: the secret holds something else too, or Vault can't be reached or refuses.
        """
        with _at(entry.source):
            reference = parse_reference(entry.value.reveal(), "the reference")
            engine = self._engines.of(reference.path)
            names = engine.field_names(reference.path)
            if names is None:
                return
            self._refuse_to_destroy_more(entry, reference, names)
            engine.purge(reference.path)

    def place(self, entry: KeyEntry) -> str:
        """The path of the secret, and the field if it is not the default field.

        Raises:
            ConfigurationError: the entry is not a reference.
        """
        with _at(entry.source):
            return f"Vault: {parse_reference(entry.value.reveal(), 'the reference')}"

    def read_active(self, pointer: ActivePointer) -> int:
        """Return the number of the active version.

        Raises:
            ConfigurationError: there is no number at that place, or it can't be read.
        """
        with _at(pointer.source):
            reference = parse_reference(pointer.value.reveal(), "the reference")
            stored = self._engines.of(reference.path).read(reference.path)
            # Vault's command line writes text. Other tools may write a number.
            text = str(stored.fields.get(reference.field, ""))
            if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= MAX_INTEGER:
                raise ConfigurationError(
                    f"the field {reference.field} of the secret at {reference.path} in {self._client.name} is not the "
                    "number of a version",
                    hint=f"`vault kv patch {reference.path} {reference.field}=1` makes version 1 the active one.",
                )
            return int(text)

    def write_active(self, pointer: ActivePointer, version: int) -> None:
        """Make another version the active one. The other fields of the secret are kept.

        Raises:
            ConfigurationError: somebody else wrote there at the same moment, or Vault can't be reached or refuses.
        """
        with _at(pointer.source):
            reference = parse_reference(pointer.value.reveal(), "the reference")
            if not self._engines.of(reference.path).change(reference.path, reference.field, str(version)):
                raise ConfigurationError(
                    f"somebody else wrote to {reference.path} in {self._client.name} at the same moment",
                    hint="Check what is there now, and try again.",
                )

    def created_at(self, entry: KeyEntry) -> datetime | None:
        """When the version of the secret with the key was written. None in a KV version 1, or if there is no secret.

        Raises:
            ConfigurationError: Vault can't be reached or refuses.
        """
        with _at(entry.source):
            path = parse_reference(entry.value.reveal(), "the reference").path
            if path not in self._created_at:
                try:
                    self._created_at[path] = self._engines.of(path).read(path).created_at
                except KeyAbsentError:
                    return None
            return self._created_at[path]

    def _occupied(self, reference: Reference) -> ConfigurationError:
        hint = "Give the version's entry another path, or choose another version."
        try:
            self._engines.of(reference.path).read(reference.path)
        except KeyAbsentError as error:
            return ConfigurationError(
                f"{error.message}, and its history is still there; nothing was written",
                hint=f"`vault kv metadata delete {reference.path}` removes what is left. {hint}",
            )
        return ConfigurationError(
            f"there is a secret at {reference.path} in {self._client.name} already; nothing was written", hint=hint
        )

    def _refuse_to_destroy_more(self, entry: KeyEntry, reference: Reference, names: frozenset[str]) -> None:
        others = names - {reference.field}
        if others:
            raise ConfigurationError(
                f"the secret at {reference.path} in {self._client.name} holds more than this key, "
                f"and would be destroyed with it: {_shown(others)}",
                hint="Move these to another path, all old versions included "
                f"(`vault kv metadata get {reference.path}`), and try again.",
            )
        for other in self._context.encryption.keys:
            if other.provider != NAME or other.version == entry.version:
                continue
            there = parse_reference(other.value.reveal(), other.source) if other.value else None
            if there is not None and there.path == reference.path:
                raise ConfigurationError(
                    f"key version {other.version} refers to the same secret ({there}), and would be destroyed too",
                    hint="Give each version a separate path.",
                )


def _place_of(version: int, known: tuple[KeyEntry, ...]) -> Reference:
    """Where to store the key of a version: where its entry says, or by the pattern of the other entries."""
    own = own_entry(version, known, NAME)
    if own is not None and own.value:
        with _at(own.source):
            return parse_reference(own.value.reveal(), "the reference")
    others = [entry for entry in other_entries(version, known, NAME) if entry.value]
    for entry in others:
        with _at(entry.source):
            found = parse_reference(entry.value.reveal(), "the reference").successor(entry.version, version)
        if found is not None:
            return found
    raise ConfigurationError(
        f"nothing says where in Vault the key of version {version} goes"
        + (": no path of the other versions contains the version's number" if others else ""),
        hint=f"Add an entry with `version: {version}` and "
        f'key: "{{{{ vault `secret/fluxbase/keys/v{version}` }}}}" to security.encryption.keys.',
    )


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Put the place in front of the message of an error."""
    try:
        yield
    except KeyAbsentError as error:
        raise KeyAbsentError(f"{place}: {error.message}", hint=error.hint) from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error.message}", hint=error.hint) from None


def _shown(names: Iterable[str]) -> str:
    """The names of fields. A name that looks like a key is not shown: somebody may have swapped name and value."""
    shown = (name if name.isprintable() and not looks_like_key(name) else "(one that is not shown)" for name in names)
    return ", ".join(sorted(shown))
