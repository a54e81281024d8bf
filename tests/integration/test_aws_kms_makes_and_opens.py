"""Does AWS KMS make and wrap keys, and open what it wrapped?"""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxbase_cli.config import Secret, load_settings
from fluxbase_cli.keyring import KeyCreator, KeyDestroyer, KeyRewrapper, load_keyring
from fluxbase_cli.seal import fingerprint
from tests.fixtures.kms import Kms, StandIn
from tests.fixtures.wrapped import CONTEXT_OF_2, ciphertext_of, entry, provider, refusal

pytestmark = pytest.mark.usefixtures("aws")

ALIAS = "alias/fluxbase-secrets"


def test_a_key_is_made_by_kms_wrapped_and_opened_again(kms: Kms, aws: StandIn) -> None:
    arn = kms.key()
    made = provider(arn).create(2, ())
    assert dict(aws.calls) == {"GenerateDataKeyWithoutPlaintext": 1, "Decrypt": 1}
    assert aws.requests[0][1] == {"KeyId": arn, "KeySpec": "AES_256", "EncryptionContext": CONTEXT_OF_2}
    assert (made.entry.version, made.entry.provider, made.entry.source) == (2, "aws_kms", f"AWS KMS {arn}")
    assert not made.entry.value
    assert made.setting == {"provider": "aws_kms", "kms_key_id": arn, "ciphertext": ciphertext_of(made)}
    key = provider().fetch(made.entry)
    assert len(key) == 32
    assert made.fingerprint == fingerprint(key)
    assert aws.requests[-1] == (
        "Decrypt",
        {"CiphertextBlob": ciphertext_of(made), "EncryptionContext": CONTEXT_OF_2, "KeyId": arn},
    )
    assert ciphertext_of(made) not in repr(made.entry)


def test_an_alias_wraps_and_the_record_names_the_key_behind_it(kms: Kms) -> None:
    first, second = kms.key(ALIAS), kms.key()
    made = provider(ALIAS).create(2, (entry(version=1),))
    assert made.entry.source == f"AWS KMS {ALIAS}"
    assert made.setting["kms_key_id"] == first
    kms.client().update_alias(AliasName=ALIAS, TargetKeyId=second)
    assert fingerprint(provider(ALIAS).fetch(made.entry)) == made.fingerprint


def test_two_new_keys_are_different(kms: Kms) -> None:
    arn = kms.key()
    assert provider(arn).create(2, ()).fingerprint != provider(arn).create(2, ()).fingerprint


def test_the_printed_entry_gives_the_key_ring_of_a_configuration_file(kms: Kms, aws: StandIn, tmp_path: Path) -> None:
    arn = kms.key()
    second, third = (provider(arn).create(version, ()) for version in (2, 3))
    lines = [f"{name}: {text!r}" for name, text in second.setting.items()]
    # With line breaks as `base64` makes them, and without the default options.
    text = ciphertext_of(third)
    (tmp_path / "fluxbase.yaml").write_text(
        f"security: {{encryption: {{kms_key_id: {arn!r}, keys: [{{version: 1, key: {'k' * 32}}}, "
        f"{{version: 2, {', '.join(lines)}}}, {{version: 3, ciphertext: {text[:40] + ' ' + text[40:]}}}]}}}}"
    )
    settings = load_settings(directory=tmp_path, environ={}, system_directory=tmp_path).encryption
    aws.calls.clear()
    ring = load_keyring(settings, {})
    assert aws.calls == {"Decrypt": 2}
    assert {key.version: key.provider for key in ring.keys} == {1: "env", 2: "aws_kms", 3: "aws_kms"}
    assert [ring.key(2).fingerprint, ring.key(3).fingerprint] == [second.fingerprint, third.fingerprint]


def test_an_encryption_context_in_the_entry_opens_what_was_wrapped_elsewhere(kms: Kms) -> None:
    arn = kms.key()
    blob = kms.client().encrypt(KeyId=arn, Plaintext=b"k" * 32, EncryptionContext={"Tenant": "a"})["CiphertextBlob"]
    assert provider().fetch(entry(blob, encryption_context={"Tenant": Secret("a")})) == b"k" * 32
    for context in ({"tenant": Secret("a")}, {}, {"Tenant": Secret("b")}):
        assert "another key version" in refusal(provider().fetch, entry(blob, encryption_context=context))


def test_it_makes_and_rewraps_keys_and_destroys_none() -> None:
    assert isinstance(provider(), KeyCreator)
    assert isinstance(provider(), KeyRewrapper)
    assert not isinstance(provider(), KeyDestroyer)
