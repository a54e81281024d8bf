"""Envelope encryption with AWS KMS: a KMS key wraps our key, and only the wrapped key is kept.

The wrapped key is the `ciphertext` of a key's entry. The provider does not know where it is kept. The key of a version
is wrapped with the encryption context ``{"app": "fluxbase", "key_version": "<version>"}``, so the ciphertext of one
version is not accepted for another version. The key itself is only in the memory of this process and in AWS KMS.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from fluxbase_cli import seal
from fluxbase_cli.config import KeyEntry, Secret
from fluxbase_cli.encoding import Encoding
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.aws.connection import Clients, Configured
from fluxbase_cli.keyring.aws_kms.wrapped import (
    Wrapped,
    context_of,
    context_of_version,
    encode,
    is_alias,
    is_same_key,
    read_wrapped,
    region_of,
    region_of_arn,
)
from fluxbase_cli.keyring.envelope import of_key_length, refuse_taken
from fluxbase_cli.keyring.material import generate_key, parse_key
from fluxbase_cli.keyring.options import text_option
from fluxbase_cli.keyring.provider import CreatedKey, ProviderContext, WrongWrappingKeyError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_kms.type_defs import DecryptRequestTypeDef, ReEncryptRequestTypeDef

NAME = "aws_kms"


class AwsKmsKeyProvider:
    """Unwraps, makes and rewraps keys with AWS KMS.

    boto3 finds credentials, profiles, roles, endpoints and the region in the environment of the process and in
    `~/.aws`. AWS_REGION is used too, as in AWS's other tools. The region of a key's entry or ARN takes precedence. The
    provider does not delete the KMS key, because that wraps other keys too.
    """

    def __init__(self, context: ProviderContext) -> None:
        self._encryption = context.encryption
        self._encoding = context.encoding
        self._environ = context.environ
        self._clients = Clients["KMSClient"](self._environ, _make_client)

    def fetch(self, entry: KeyEntry) -> bytes:
        """Return the key of the entry, unwrapped by AWS KMS (`Decrypt`).

        Raises:
            KeyAbsentError: the entry has no ciphertext.
            ConfigurationError: the entry can't be used, or AWS KMS does not unwrap it.
        """
        failed = f"the key at {entry.source} can't be opened"
        return self._open_named(entry, read_wrapped(entry, self._encryption), failed, self._encryption.wrapping_keys)[0]

    def create(self, version: int, known: tuple[KeyEntry, ...]) -> CreatedKey:
        """Make a key wrapped by `kms_key_id`, and unwrap it once.

        A key of random bytes is made by AWS KMS (`GenerateDataKeyWithoutPlaintext`). A server with one key takes only
        text, so such a key is made here and wrapped by AWS KMS (`Encrypt`). The caller must store the wrapped key that
        is returned.

        Raises:
            ConfigurationError: that version has a key already, no `kms_key_id` is configured, or AWS KMS refuses.
        """
        entry = next((each for each in known if each.version == version), None)
        if entry is not None:
            other = context_of(entry) != context_of_version(version)
            refuse_taken(entry, "encryption_context", otherwise_bound=other)
        kms_key_id = self._wrapping_key(entry)
        region = region_of(entry, kms_key_id)
        failed = f"AWS KMS can't make key version {version}"
        if self._encoding is Encoding.RAW:
            secret = parse_key(generate_key(Encoding.RAW), "the new key")
            wrapped = self._wrap(version, secret, kms_key_id, region, failed)
        else:
            wrapped = self._data_key(version, kms_key_id, region, failed)
        # Nothing may be sealed under a key that can't be unwrapped again.
        key = self._open(wrapped, failed)
        return _created(KeyEntry(version, NAME, f"AWS KMS {kms_key_id}", Secret("")), wrapped, key)

    def store(self, version: int, secret: bytes, known: tuple[KeyEntry, ...]) -> CreatedKey:
        """Let AWS KMS wrap a key that exists already (`Encrypt`), and unwrap it once.

        The caller must store the wrapped key that is returned.

        Raises:
            ConfigurationError: as for `create`.
        """
        kms_key_id = self._wrapping_key(next((e for e in known if e.version == version and e.provider == NAME), None))
        failed = f"AWS KMS can't wrap key version {version}"
        region = region_of(None, kms_key_id)
        wrapped = self._wrap(version, secret, kms_key_id, region, failed)
        if not hmac.compare_digest(self._open(wrapped, failed), secret):
            raise ConfigurationError(
                f"{failed}: what it wrapped opens to another key",
                hint="Nothing was sealed under it. Run the command again; if it happens again, report it as a fault.",
            )
        return _created(KeyEntry(version, NAME, f"AWS KMS {kms_key_id}", Secret("")), wrapped, secret)

    def _wrapping_key(self, entry: KeyEntry | None) -> str:
        kms_key_id = (text_option(entry, "kms_key_id") if entry else None) or self._encryption.kms_key_id
        if not kms_key_id:
            raise ConfigurationError(
                "AWS KMS can't make a key: no wrapping key is configured",
                hint="Set security.encryption.kms_key_id to the id or ARN of a symmetric KMS key, or to alias/NAME.",
            )
        return kms_key_id

    def _data_key(self, version: int, kms_key_id: str, region: str | None, failed: str) -> Wrapped:
        """A data key of 32 random bytes, made by AWS KMS."""
        context = context_of_version(version)
        with self._call(
            region, failed, "GenerateDataKeyWithoutPlaintext", "kms:GenerateDataKeyWithoutPlaintext", kms_key_id
        ) as client:
            made = client.generate_data_key_without_plaintext(
                KeyId=kms_key_id, KeySpec="AES_256", EncryptionContext=context
            )
        return Wrapped(made["CiphertextBlob"], made["KeyId"], region, context)

    def _wrap(self, version: int, secret: bytes, kms_key_id: str, region: str | None, failed: str) -> Wrapped:
        context = context_of_version(version)
        with self._call(region, failed, "Encrypt", "kms:Encrypt", kms_key_id) as client:
            made = client.encrypt(KeyId=kms_key_id, Plaintext=secret, EncryptionContext=context)
        return Wrapped(made["CiphertextBlob"], made["KeyId"], region, context)

    def rewrap(self, entry: KeyEntry, wrapping_key: str) -> CreatedKey:
        """Let AWS KMS wrap the entry's key with another KMS key (`ReEncrypt`). The key itself stays the same.

        Raises:
            KeyAbsentError: the entry has no ciphertext.
            ConfigurationError: the entry can't be used, or AWS KMS refuses.
        """
        old = read_wrapped(entry, self._encryption)
        failed = f"the key at {entry.source} can't be rewrapped"
        # A run that was interrupted may have wrapped it with the new key already.
        key, old = self._open_named(entry, old, failed, (*self._encryption.wrapping_keys, wrapping_key))
        _refuse_other_region(failed, self._clients.of(old.region).meta.region_name, wrapping_key)
        request: ReEncryptRequestTypeDef = {
            "CiphertextBlob": old.ciphertext,
            "SourceEncryptionContext": old.context,
            "DestinationKeyId": wrapping_key,
            "DestinationEncryptionContext": old.context,
        }
        if old.kms_key_id:
            request["SourceKeyId"] = old.kms_key_id
        action = "kms:ReEncryptFrom on the key that wraps it now, and kms:ReEncryptTo"
        with self._call(old.region, failed, "ReEncrypt", action, wrapping_key) as client:
            made = client.re_encrypt(**request)
        new = replace(old, ciphertext=made["CiphertextBlob"], kms_key_id=made["KeyId"])
        if not hmac.compare_digest(self._open(new, failed), key):
            raise ConfigurationError(
                f"{failed}: what AWS KMS rewrapped opens to another key; the old wrapped form was left as it is",
                hint="Run the command again; if it happens again, report it as a fault.",
            )
        return _created(replace(entry, source=f"AWS KMS {wrapping_key}"), new, key)

    def _open_named(
        self, entry: KeyEntry, wrapped: Wrapped, failed: str, names: Sequence[str]
    ) -> tuple[bytes, Wrapped]:
        """Open a key. What the database says of a wrapped key is not believed: its KMS key must be one of the names.

        An alias is given to AWS KMS as it is. KMS opens the ciphertext only if the alias points to the key that wrapped
        it. So this needs no further permission.
        """
        if entry.recorded is None or any(is_same_key(name, wrapped.kms_key_id) for name in names):
            return self._open(wrapped, failed), wrapped
        for alias in filter(is_alias, names):
            candidate = replace(wrapped, kms_key_id=alias)
            try:
                return self._open(candidate, failed), candidate
            except WrongWrappingKeyError:
                continue
        named = ", ".join(names) or "none"
        raise ConfigurationError(
            f"{failed}: the database says that the KMS key {wrapped.kms_key_id} wraps it, and the configuration names "
            f"{named}",
            hint="It is not used. If that KMS key is yours, name it in security.encryption: as kms_key_id if it wraps "
            "new keys too, else in the list previous_kms_key_ids. If not, this row belongs to another installation.",
        )

    def _open(self, wrapped: Wrapped, failed: str) -> bytes:
        request: DecryptRequestTypeDef = {"CiphertextBlob": wrapped.ciphertext, "EncryptionContext": wrapped.context}
        if wrapped.kms_key_id:
            # Without this, AWS KMS would also accept a ciphertext that any other KMS key has wrapped, even a key of a
            # stranger, if this identity may use it.
            request["KeyId"] = wrapped.kms_key_id
        with self._call(wrapped.region, failed, "Decrypt", "kms:Decrypt", wrapped.kms_key_id) as client:
            key = client.decrypt(**request)["Plaintext"]
        return of_key_length(key, "AWS KMS", failed)

    @contextmanager
    def _call(
        self, region: str | None, failed: str, operation: str, action: str, kms_key_id: str | None
    ) -> Iterator[KMSClient]:
        """The client of a region, for one call. Its errors become a `ConfigurationError` for the user."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # start-up time

        from fluxbase_cli.keyring.aws_kms.refusals import Call, explained  # noqa: PLC0415  # start-up time

        call = Call(failed, operation, action, kms_key_id, region)
        try:
            client = self._clients.of(region)
        except (BotoCoreError, ValueError) as error:
            raise explained(error, call) from None
        call = replace(call, region=client.meta.region_name, endpoint=client.meta.endpoint_url)
        try:
            yield client
        except (BotoCoreError, ClientError, ValueError) as error:
            raise explained(error, call) from None


def _make_client(made: Configured) -> KMSClient:
    return made.session.client("kms", region_name=made.region, config=made.config)


def _refuse_other_region(failed: str, region: str, wrapping_key: str) -> None:
    target = region_of_arn(wrapping_key)
    if target not in (None, region):
        raise ConfigurationError(
            f"{failed}: the key that wraps it is in {region}, and the new one in {target}",
            hint="AWS KMS rewraps within one region only. Make a new key version there, and re-encrypt to it.",
        )


def _created(entry: KeyEntry, wrapped: Wrapped, key: bytes) -> CreatedKey:
    ciphertext, kms_key_id = encode(wrapped.ciphertext), wrapped.kms_key_id or ""
    options = {**entry.options, "ciphertext": Secret(ciphertext), "kms_key_id": Secret(kms_key_id)}
    return CreatedKey(
        replace(entry, options=MappingProxyType(options)),
        seal.fingerprint(key),
        # An alias may point to another key later, so this is the id of the key itself.
        {"provider": NAME, "kms_key_id": kms_key_id, "ciphertext": ciphertext},
    )
