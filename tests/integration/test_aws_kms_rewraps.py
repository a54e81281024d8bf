"""Does a key stay the same key when it moves to another KMS key?"""

from __future__ import annotations

import pytest

from fluxbase_cli.config import Secret
from fluxbase_cli.keyring import KeyAbsentError
from fluxbase_cli.seal import fingerprint
from tests.fixtures.kms import REGION, Kms, StandIn
from tests.fixtures.wrapped import CONTEXT_OF_2, OTHER_REGION, ciphertext_of, entry, provider, refusal

pytestmark = pytest.mark.usefixtures("aws")


def test_rewrapping_moves_a_key_to_another_kms_key_and_does_not_change_it(kms: Kms, aws: StandIn) -> None:
    first, second = kms.key(), kms.key("alias/next")
    made = provider(first).create(2, ())
    aws.calls.clear()
    moved = provider(first).rewrap(made.entry, "alias/next")
    assert aws.calls == {"Decrypt": 2, "ReEncrypt": 1}
    sent = next(body for operation, body in aws.requests if operation == "ReEncrypt")
    assert sent["SourceEncryptionContext"] == sent["DestinationEncryptionContext"] == CONTEXT_OF_2
    assert sent["SourceKeyId"] == first
    assert moved.fingerprint == made.fingerprint
    assert (moved.entry.version, moved.entry.source) == (2, "AWS KMS alias/next")
    assert moved.setting == {"provider": "aws_kms", "kms_key_id": second, "ciphertext": ciphertext_of(moved)}
    assert ciphertext_of(moved) != ciphertext_of(made)
    # The old key is not needed any more, although the section still names it.
    kms.client().disable_key(KeyId=kms.key_id(first))
    assert fingerprint(provider(first).fetch(moved.entry)) == made.fingerprint
    assert "is disabled" in refusal(provider().fetch, made.entry)


def test_rewrapping_keeps_the_context_and_the_region_of_the_entry(kms: Kms) -> None:
    first, second = (kms.key(region=OTHER_REGION) for _ in range(2))
    blob = kms.client(OTHER_REGION).encrypt(KeyId=first, Plaintext=b"k" * 32, EncryptionContext={"Tenant": "a"})
    there = entry(blob["CiphertextBlob"], encryption_context={"Tenant": Secret("a")}, region=OTHER_REGION)
    moved = provider().rewrap(there, second)
    assert provider().fetch(moved.entry) == b"k" * 32
    assert moved.entry.options["encryption_context"] == {"Tenant": Secret("a")}


def test_rewrapping_is_refused_when_it_is_not_possible(kms: Kms, aws: StandIn) -> None:
    arn, abroad = kms.key(), kms.key(region=OTHER_REGION)
    made = provider(arn).create(2, ())
    message = refusal(provider().rewrap, made.entry, abroad)
    assert message == (
        f"the key at AWS KMS {arn} can't be rewrapped: the key that wraps it is in {REGION}, and the new one in "
        f"{OTHER_REGION}"
    )
    assert "the KMS key alias/nobody does not exist" in refusal(provider().rewrap, made.entry, "alias/nobody")
    aws.fail("AccessDeniedException", operation="ReEncrypt", times=1)
    message = refusal(provider().rewrap, made.entry, arn)
    assert f"kms:ReEncryptFrom on the key that wraps it now, and kms:ReEncryptTo on the KMS key {arn}" in message
    with pytest.raises(KeyAbsentError, match="no ciphertext"):
        provider().rewrap(entry(), arn)
    assert fingerprint(provider().fetch(made.entry)) == made.fingerprint


def test_a_rewrapped_key_that_opens_to_a_different_key_is_not_returned(kms: Kms, aws: StandIn) -> None:
    arn = kms.key()
    made, stranger = (provider(arn).create(2, ()) for _ in range(2))
    answer = {"CiphertextBlob": ciphertext_of(stranger), "KeyId": arn, "SourceKeyId": arn}
    aws.fail("", operation="ReEncrypt", body=answer)
    assert "opens to another key" in refusal(provider().rewrap, made.entry, arn)
