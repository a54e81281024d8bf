"""What can AWS KMS not open or make, and what does the message say then?"""

from __future__ import annotations

import pytest

from fluxbase_cli.config import KeyEntry, Secret
from fluxbase_cli.seal import fingerprint
from tests.fixtures.kms import REGION, Kms, StandIn
from tests.fixtures.wrapped import CONTEXT_OF_2, ciphertext_of, entry, provider, refusal

pytestmark = pytest.mark.usefixtures("aws")


def test_the_ciphertext_of_one_version_is_refused_for_another_version(kms: Kms) -> None:
    made = provider(kms.key()).create(2, ())
    text = ciphertext_of(made)
    message = refusal(provider().fetch, entry(text, version=3), without=text)
    assert message == (
        "the key at the test's entry can't be opened: the ciphertext was made for another key version "
        "(encryption context), or is damaged"
    )


def test_the_ciphertext_of_another_kms_key_is_refused(kms: Kms) -> None:
    ours, theirs = kms.key(), kms.key()
    text = ciphertext_of(provider(theirs).create(2, ()))
    told = f"wrapped by another key than the KMS key {ours}"
    assert told in refusal(provider(ours).fetch, entry(text), without=text)
    assert told in refusal(provider(theirs).fetch, entry(text, kms_key_id=ours))
    # The entry has priority over the section.
    assert provider(ours).fetch(entry(text, kms_key_id=theirs)) == provider().fetch(entry(text))


@pytest.mark.parametrize("length", [1, 16, 31, 33, 64])
def test_a_key_of_another_length_is_refused(kms: Kms, length: int) -> None:
    blob = kms.client().encrypt(KeyId=kms.key(), Plaintext=b"k" * length, EncryptionContext=CONTEXT_OF_2)
    message = refusal(provider().fetch, entry(blob["CiphertextBlob"]), without="k" * 8)
    assert f"opens it to {length} bytes, and a key is 32" in message


def test_the_message_says_that_a_key_is_disabled_or_scheduled_for_deletion(kms: Kms) -> None:
    arn = kms.key()
    made = provider(arn).create(2, ())
    client = kms.client()
    client.disable_key(KeyId=kms.key_id(arn))
    assert refusal(provider().fetch, made.entry).endswith(f"the KMS key {arn} is disabled")
    # The text of the service names the key, if the configuration does not.
    assert refusal(provider().fetch, entry(ciphertext_of(made))).endswith(f"the KMS key {arn} is disabled")
    assert refusal(provider(arn).create, 3, ()) == f"AWS KMS can't make key version 3: the KMS key {arn} is disabled"
    client.schedule_key_deletion(KeyId=kms.key_id(arn), PendingWindowInDays=7)
    assert refusal(provider().fetch, made.entry).endswith(f"the KMS key {arn} is scheduled for deletion")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("AccessDeniedException", "access denied: kms:Decrypt on the KMS key that wraps it"),
        ("KMSInvalidStateException", "the KMS key that wraps it is in a state in which it can't be used"),
        ("NotFoundException", f"the KMS key that wraps it does not exist in region {REGION}"),
        ("InvalidKeyUsageException", "the KMS key that wraps it can't wrap keys"),
        ("ExpiredTokenException", "the AWS credentials have expired (ExpiredTokenException)"),
        ("UnrecognizedClientException", "AWS does not accept the credentials (UnrecognizedClientException)"),
        ("InvalidSignatureException", "AWS does not accept the credentials (InvalidSignatureException)"),
        ("SomethingNewException", "AWS KMS refused it (SomethingNewException)"),
        ("com.amazonaws.kms#DisabledException", "the KMS key that wraps it is disabled"),
        ("<script>", "AWS KMS refused it (HTTP 400)"),
    ],
)
def test_a_refusal_of_kms_gives_one_line_and_no_retry(aws: StandIn, code: str, told: str) -> None:
    aws.fail(code, message="a canonical string with a signature-mark")
    message = refusal(provider().fetch, entry(b"wrapped"), without="signature-mark")
    assert message == f"the key at the test's entry can't be opened: {told}"
    assert aws.calls == {"Decrypt": 1}


@pytest.mark.parametrize(
    ("code", "status"),
    [("ThrottlingException", 400), ("LimitExceededException", 400), ("KMSInternalException", 500)],
)
def test_throttling_and_failures_of_the_service_are_retried(kms: Kms, aws: StandIn, code: str, status: int) -> None:
    made = provider(kms.key()).create(2, ())
    aws.calls.clear()
    aws.fail(code, status=status, times=1)
    assert fingerprint(provider().fetch(made.entry)) == made.fingerprint
    assert aws.calls == {"Decrypt": 2}


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        ("ThrottlingException", 400, "AWS KMS throttles the calls of this account (ThrottlingException)"),
        ("KMSInternalException", 500, "AWS KMS failed (KMSInternalException)"),
        ("", 503, "AWS KMS failed (HTTP 503)"),
    ],
)
def test_a_failure_that_stays_is_reported_after_a_limited_number_of_attempts(
    aws: StandIn, code: str, status: int, told: str
) -> None:
    aws.fail(code, status=status)
    assert told in refusal(provider().fetch, entry(b"wrapped"))
    assert aws.calls == {"Decrypt": 2}


@pytest.mark.parametrize("kms_key_id", ["alias/nobody", "garbage", "arn:aws:kms:eu-central-1:1:key/gone"])
def test_a_missing_kms_key_is_reported_with_its_name(kms_key_id: str) -> None:
    told = f"the KMS key {kms_key_id} does not exist in region {REGION}"
    assert told in refusal(provider(kms_key_id).create, 2, ())


def test_a_new_key_never_replaces_an_existing_one(kms: Kms, aws: StandIn) -> None:
    arn = kms.key()
    there = (entry("d3JhcHBlZA==", version=1), entry("d3JhcHBlZA==", version=2, kms_key_id=arn))
    assert refusal(provider(arn).create, 2, there) == "there is a key of version 2 already: the test's entry"
    text = (KeyEntry(2, "env", "environment: KEY", Secret("k" * 32)),)
    assert refusal(provider(arn).create, 2, text) == "there is a key of version 2 already: environment: KEY"
    strange = (entry(version=2, encryption_context={"a": Secret("b")}),)
    assert "encryption_context" in refusal(provider(arn).create, 2, strange)
    assert not aws.calls


def test_without_a_kms_key_no_key_can_be_made(kms: Kms, aws: StandIn) -> None:
    assert "no wrapping key is configured" in refusal(provider().create, 2, (entry("d3JhcHBlZA==", version=1),))
    assert not aws.calls
    # The entry of the new version can name the KMS key.
    arn = kms.key()
    assert provider().create(2, (entry(version=2, kms_key_id=arn),)).setting["kms_key_id"] == arn


def test_a_key_that_can_be_made_but_not_opened_is_an_error(kms: Kms, aws: StandIn) -> None:
    aws.fail("AccessDeniedException", operation="Decrypt")
    assert "access denied: kms:Decrypt" in refusal(provider(kms.key()).create, 2, ())
