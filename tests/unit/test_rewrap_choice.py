"""Which wrapped keys `keys rewrap` wraps again: a wrapping key belongs to one key service."""

from __future__ import annotations

from fluxbase_cli.config import EncryptionSettings, KeyEntry, Secret
from fluxbase_cli.keys.history import KeyHistory
from fluxbase_cli.keys.rewrap import of_one_provider
from fluxbase_cli.keys.sources import find_key_sources


def entry(version: int, provider: str) -> KeyEntry:
    return KeyEntry(version, provider, "the entry", Secret(""), {"ciphertext": Secret("x")})


def test_keys_of_another_key_service_are_left_and_told() -> None:
    warnings: list[str] = []
    entries = [entry(1, "aws_kms"), entry(2, "vault_transit"), entry(3, "acme")]
    assert of_one_provider(entries, "vault_transit", warnings.append) == entries[1:2]
    assert warnings == [
        (
            "key version 1 is wrapped by the provider aws_kms, and is left as it is; "
            "to rewrap it, set security.encryption.provider to aws_kms"
        ),
        (
            "key version 3 is wrapped by the provider acme, and is left as it is; "
            "to rewrap it, set security.encryption.provider to acme"
        ),
    ]
    assert of_one_provider(entries[:1], "vault_transit", warnings.append) == entries[:1]
    assert len(warnings) == 2


def test_the_form_of_the_wrapping_key_says_which_provider_wraps_new_keys() -> None:
    for kms_key_id, provider in (("transit/fluxbase", "vault_transit"), ("alias/fluxbase", "aws_kms")):
        encryption = EncryptionSettings(kms_key_id=kms_key_id)
        assert find_key_sources(encryption, KeyHistory(), {}, warnings_of_none).provider_for_new(2) == provider


def warnings_of_none(text: str) -> None:
    raise AssertionError(text)
