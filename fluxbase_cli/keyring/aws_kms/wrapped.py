"""What a key's entry says about the wrapped key: the ciphertext, the KMS key, the region, the encryption context."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fluxbase_cli.config import EncryptionSettings, KeyEntry
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.envelope import ciphertext_of
from fluxbase_cli.keyring.options import text_option

#: The maximum length of a `CiphertextBlob` in AWS KMS, in bytes (API reference, Decrypt).
_MAX_CIPHERTEXT_BYTES = 6144
#: The ARN of a key or an alias. It contains the region (IAM reference, "Actions, resources, and condition keys for AWS
#: Key Management Service").
_ARN = re.compile(r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):[0-9]*:(?:key|alias)/\S+")


def context_of_version(version: int) -> dict[str, str]:
    """The encryption context with which the key of a version is wrapped. It is not secret: CloudTrail shows it."""
    return {"app": "fluxbase", "key_version": str(version)}


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A key as AWS KMS has wrapped it.

    Attributes:
        ciphertext: the `CiphertextBlob`.
        kms_key_id: the KMS key that must have wrapped it. None: any KMS key that this identity may use.
        region: the region of the KMS key. None: the region of the environment.
        context: the encryption context.
    """

    ciphertext: bytes = field(repr=False)
    kms_key_id: str | None
    region: str | None
    context: Mapping[str, str]


def read_wrapped(entry: KeyEntry, encryption: EncryptionSettings) -> Wrapped:
    """Read the wrapped key from an entry.

    Raises:
        KeyAbsentError: it has no ciphertext.
        ConfigurationError: a field of it can't be used.
    """
    text = ciphertext_of(entry, "AWS KMS")
    kms_key_id = text_option(entry, "kms_key_id") or encryption.kms_key_id
    return Wrapped(_decoded(text, entry), kms_key_id, region_of(entry, kms_key_id), context_of(entry))


def context_of(entry: KeyEntry) -> Mapping[str, str]:
    """The `encryption_context` of the entry. If it has none, the context of its version.

    Raises:
        ConfigurationError: it is not a mapping.
    """
    value = entry.options.get("encryption_context")
    if value is None:
        return context_of_version(entry.version)
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"`encryption_context` at {entry.source} is not a mapping of names to texts",
            hint=f'Without it, the context is {{app: fluxbase, key_version: "{entry.version}"}}.',
        )
    return {name: text.reveal() for name, text in value.items()}


def region_of(entry: KeyEntry | None, kms_key_id: str | None) -> str | None:
    """The region in the entry, else the region in the ARN of the KMS key. None if neither names one."""
    explicit = text_option(entry, "region") if entry is not None else None
    return explicit or region_of_arn(kms_key_id)


def region_of_arn(kms_key_id: str | None) -> str | None:
    """The region in the ARN of a key or an alias. None if it is not an ARN."""
    match = _ARN.fullmatch(kms_key_id or "")
    return match["region"] if match else None


def is_alias(name: str) -> bool:
    """Whether a name of a KMS key is an alias (`alias/NAME` or its ARN), which may point to another key later."""
    return name.rpartition(":")[2].startswith("alias/")


def is_same_key(name: str, kms_key_id: str | None) -> bool:
    """Whether a configured id or ARN names a KMS key. An alias names none: only AWS KMS knows where it points.

    Args:
        name: the id or the ARN in the configuration.
        kms_key_id: the ARN or the id that is recorded with a wrapped key.
    """
    if kms_key_id is None or is_alias(name):
        return False
    if name == kms_key_id:
        return True
    own, other = name.rpartition("key/"), kms_key_id.rpartition("key/")
    if own[2] != other[2]:
        return False
    # A multi-Region key has the same id, which begins with mrk-, in all its regions (KMS developer guide).
    return not own[0] or not other[0] or (own[2].startswith("mrk-") and _account(name) == _account(kms_key_id))


def _account(arn: str) -> str:
    return ":".join(arn.split(":")[4:5])


def find_arn(text: str) -> str | None:
    """The first ARN of a key in a text of AWS KMS. None if there is none."""
    match = _ARN.search(text)
    return match[0].rstrip(".,;:'\")") if match else None


def encode(ciphertext: bytes) -> str:
    """A ciphertext in the form of the field `ciphertext` of an entry."""
    return base64.b64encode(ciphertext).decode("ascii")


def _decoded(text: str, entry: KeyEntry) -> bytes:
    # YAML may fold a long text, and the command `base64` breaks lines.
    data = "".join(text.split())
    try:
        ciphertext = base64.b64decode(data, validate=True)
    except ValueError:
        raise _unusable(entry, f"{len(data)} characters long, and not standard base64") from None
    if not 0 < len(ciphertext) <= _MAX_CIPHERTEXT_BYTES:
        raise _unusable(entry, f"{len(ciphertext)} bytes long; AWS KMS makes at most {_MAX_CIPHERTEXT_BYTES}")
    return ciphertext


def _unusable(entry: KeyEntry, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"the ciphertext at {entry.source} is {what}",
        hint="It must be what `fluxbase-cli keys generate --store` printed: the CiphertextBlob of AWS KMS in base64.",
    )
