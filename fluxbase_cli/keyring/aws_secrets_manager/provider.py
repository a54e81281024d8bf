"""The provider `aws_secrets_manager`: fetches keys from AWS Secrets Manager, makes them and destroys them.

Credentials, profiles, roles, region and endpoint are found as AWS's own tools find them.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import datetime

from fluxbase_cli import seal
from fluxbase_cli.config import KeyEntry, Secret
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.aws_secrets_manager.reference import Reference, parse_reference
from fluxbase_cli.keyring.aws_secrets_manager.service import SecretsManager, StoredSecret
from fluxbase_cli.keyring.material import generate_key, parse_key
from fluxbase_cli.keyring.options import text_option
from fluxbase_cli.keyring.pattern import other_entries, own_entry
from fluxbase_cli.keyring.provider import CreatedKey, KeyAbsentError, ProviderContext

NAME = "aws_secrets_manager"
#: The service deletes after it has answered (API reference, DeleteSecret). `exists` looks for it for so many seconds.
_GONE_AFTER_S = 15.0
_LOOK_S = 0.5


class AwsSecretsManagerKeyProvider:
    """Keys in AWS Secrets Manager.

    Args:
        context: the configuration and the environment.
    """

    def __init__(self, context: ProviderContext) -> None:
        self._context = context
        self._service = SecretsManager(context.environ)

    def fetch(self, entry: KeyEntry) -> bytes:
        """Return the key in the current version of the secret. It takes one request.

        Raises:
            KeyAbsentError: there is no secret, or it is marked for deletion.
            ConfigurationError: the service can't be reached or refuses, or the secret holds no key.
        """
        reference = _reference_of(entry)
        stored = self._service.read(reference.secret, _region(entry, reference), f"{entry.source} can't be read")
        place = f"{entry.source} (AWS Secrets Manager: {reference})"
        if isinstance(stored.content, bytes):
            return _key_in_bytes(stored.content, reference, place)
        return parse_key(_text_of(stored.content, reference, place), place)

    def create(self, version: int, known: tuple[KeyEntry, ...]) -> CreatedKey:
        """Make a new key in a new secret.

        Raises:
            ConfigurationError: there is a secret of that name, the name is unknown, or the service refuses.
        """
        reference, region = _place_of(version, known)
        text = generate_key(self._context.encoding)
        content = text if reference.field is None else json.dumps({reference.field: text})
        if not self._service.make(reference.secret, content, region, f"key version {version} can't be made"):
            raise ConfigurationError(
                f"there is a secret {reference.secret} in AWS Secrets Manager already; nothing was written",
                hint="Give the version's entry another name, or choose another version.",
            )
        return _created(version, reference, region, parse_key(text, str(reference)))

    def find(self, version: int, known: tuple[KeyEntry, ...]) -> CreatedKey | None:
        """The key in the secret that `create` would make for that version. None if there is none.

        Raises:
            ConfigurationError: the name is unknown, or the service can't be reached or refuses.
        """
        reference, region = _place_of(version, known)
        try:
            secret = self.fetch(_entry(version, reference, region))
        except KeyAbsentError:
            return None
        return _created(version, reference, region, secret)

    def exists(self, entry: KeyEntry) -> bool:
        """Whether anything is left of the secret, also a few seconds after it was deleted.

        Raises:
            ConfigurationError: the service can't be reached or refuses.
        """
        reference = _reference_of(entry)
        region, failed = _region(entry, reference), f"{entry.source} can't be looked for"
        deadline = time.monotonic() + _GONE_AFTER_S
        while self._service.exists(reference.secret, region, failed):
            if time.monotonic() > deadline:
                return True
            time.sleep(_LOOK_S)
        return False

    def destroy(self, entry: KeyEntry) -> None:
        """Delete the secret for good, with all its versions.

        Raises:
            ConfigurationError: the secret holds something else too, or the service can't be reached or refuses.
        """
        reference = _reference_of(entry)
        region, failed = _region(entry, reference), f"{entry.source} can't be destroyed"
        # If it is marked for deletion, it can't be read. It is still there as long as its recovery window lasts.
        with suppress(KeyAbsentError):
            self._refuse_to_destroy_more(entry, reference, self._service.read(reference.secret, region, failed))
        self._service.delete(reference.secret, region, failed)

    def place(self, entry: KeyEntry) -> str:
        """The name of the secret, and the field.

        Raises:
            ConfigurationError: the entry is not a reference.
        """
        return f"AWS Secrets Manager: {_reference_of(entry)}"

    def created_at(self, entry: KeyEntry) -> datetime | None:
        """When the current version of the secret was made. None if there is no secret.

        Raises:
            ConfigurationError: the service can't be reached or refuses.
        """
        reference = _reference_of(entry)
        try:
            stored = self._service.read(reference.secret, _region(entry, reference), f"{entry.source} can't be read")
        except KeyAbsentError:
            return None
        return stored.created_at

    def _refuse_to_destroy_more(self, entry: KeyEntry, reference: Reference, stored: StoredSecret) -> None:
        others = _names_in(stored.content) - {reference.field} if reference.field is not None else frozenset()
        if others:
            raise ConfigurationError(
                f"the secret {reference.secret} holds {len(others)} more field{'s' * (len(others) > 1)} than this key, "
                "which would be destroyed with it",
                hint="Move these to another secret, and try again.",
            )
        for other in self._context.encryption.keys:
            if other.provider != NAME or other.version == entry.version or not other.value:
                continue
            if _reference_of(other).secret == reference.secret:
                raise ConfigurationError(
                    f"key version {other.version} refers to the same secret, and would be destroyed too",
                    hint="Give each version a separate secret.",
                )


def _reference_of(entry: KeyEntry) -> Reference:
    if not entry.value:
        raise ConfigurationError(
            f"{entry.source} does not say which secret of AWS Secrets Manager it is",
            hint='Write key: "{{ aws_secrets_manager `NAME` }}".',
        )
    return parse_reference(entry.value.reveal(), entry.source)


def _region(entry: KeyEntry, reference: Reference) -> str | None:
    return text_option(entry, "region") or reference.region


def _key_in_bytes(content: bytes, reference: Reference, place: str) -> bytes:
    if reference.field is not None or len(content) != seal.KEY_BYTES:
        raise ConfigurationError(
            f"{place} is a binary secret of {len(content)} bytes, and no key",
            hint=f"A binary secret must be the {seal.KEY_BYTES} bytes of a key. Otherwise store the key as text.",
        )
    return content


def _text_of(content: str, reference: Reference, place: str) -> str:
    if reference.field is None:
        return content.removesuffix("\n").removesuffix("\r")
    try:
        fields = json.loads(content)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise ConfigurationError(
            f"{place} is not JSON, so it has no field {reference.field}",
            hint="Leave `#field` out if the whole secret is the key.",
        )
    text = fields.get(reference.field)
    if not isinstance(text, str):
        what = "is not text" if reference.field in fields else f"is not among its {len(fields)} fields"
        raise ConfigurationError(f"{place}: the field {what}", hint="Correct `#field`, or write the key there as text.")
    return text


def _names_in(content: str | bytes) -> frozenset[str]:
    try:
        fields = json.loads(content)
    except ValueError:
        return frozenset()
    return frozenset(map(str, fields)) if isinstance(fields, dict) else frozenset()


def _place_of(version: int, known: tuple[KeyEntry, ...]) -> tuple[Reference, str | None]:
    """The secret for the key of a version, and its region: by its entry, or by the pattern of the other entries."""
    own = own_entry(version, known, NAME)
    if own is not None and own.value:
        reference = _reference_of(own)
        return reference, _region(own, reference)
    others = [entry for entry in other_entries(version, known, NAME) if entry.value]
    for entry in others:
        found = _reference_of(entry).successor(entry.version, version)
        if found is not None:
            return found, text_option(entry, "region")
    raise ConfigurationError(
        f"nothing says which secret of AWS Secrets Manager the key of version {version} goes to"
        + (": no name of the other versions contains the version's number" if others else ""),
        hint=f"Add an entry with `version: {version}` and "
        f'key: "{{{{ aws_secrets_manager `fluxbase/keys/v{version}` }}}}" to security.encryption.keys.',
    )


def _entry(version: int, reference: Reference, region: str | None) -> KeyEntry:
    options = {} if region is None else {"region": Secret(region)}
    return KeyEntry(version, NAME, f"AWS Secrets Manager: {reference}", Secret(reference.template), options)


def _created(version: int, reference: Reference, region: str | None, secret: bytes) -> CreatedKey:
    setting = {"key": reference.template} | ({} if region is None or reference.is_arn else {"region": region})
    return CreatedKey(_entry(version, reference, region), seal.fingerprint(secret), setting)
