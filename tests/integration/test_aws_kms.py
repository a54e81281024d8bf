"""Keys that AWS KMS has wrapped: made, opened and rewrapped over HTTP, and every way in which that can fail."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader, create_loader

from fluxbase_cli.config import EncryptionSettings, KeyEntry, Secret, load_settings
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.keyring import (
    CreatedKey,
    KeyAbsentError,
    KeyCreator,
    KeyDestroyer,
    KeyRewrapper,
    ProviderContext,
    load_keyring,
)
from fluxbase_cli.keyring.aws_kms import AwsKmsKeyProvider
from fluxbase_cli.seal import fingerprint
from tests.fixtures.command import Command
from tests.fixtures.kms import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, Kms, StandIn

ALIAS = "alias/fluxbase-secrets"
OTHER_REGION = "us-west-2"
CONTEXT_OF_2 = {"app": "fluxbase", "key_version": "2"}


@pytest.fixture(scope="session")
def models() -> Loader:
    """AWS's descriptions of its services, read once for all tests."""
    return create_loader()


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, kms_stand_in: StandIn, kms: Kms, tmp_path: Path, models: Loader) -> StandIn:
    """The stand-in, to which the environment of this process leads; two attempts a call."""
    monkeypatch.setattr("botocore.session.create_loader", lambda *_: models)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in kms.environment(tmp_path, url=kms_stand_in.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    return kms_stand_in


def provider(kms_key_id: str | None = None, environ: Mapping[str, str] | None = None) -> AwsKmsKeyProvider:
    return AwsKmsKeyProvider(ProviderContext(EncryptionSettings(kms_key_id=kms_key_id), environ or {}))


def entry(ciphertext: bytes | str = "", version: int = 2, **options: Any) -> KeyEntry:
    text = ciphertext if isinstance(ciphertext, str) else base64.b64encode(ciphertext).decode()
    secrets = {name: Secret(value) if isinstance(value, str) else value for name, value in options.items()}
    if text:
        secrets["ciphertext"] = Secret(text)
    return KeyEntry(version, "aws_kms", "the test's entry", Secret(""), secrets)


def ciphertext_of(made: CreatedKey) -> str:
    value = made.entry.options["ciphertext"]
    assert isinstance(value, Secret)
    return value.reveal()


def refusal(call: Callable[..., object], *arguments: object, without: str = "\0") -> str:
    """What is told when it fails: one line and a hint, without ciphertexts and credentials."""
    with pytest.raises(ConfigurationError) as caught:
        call(*arguments)
    error = caught.value
    assert error.exit_code is ExitCode.USAGE
    assert error.hint
    told = f"{error.message} {error.hint}"
    assert "\n" not in told
    assert "{" not in error.message
    for mark in (ACCESS_KEY_ID, SECRET_ACCESS_KEY, without):
        assert mark not in f"{told} {error!r}"
    return error.message


# --- made and opened ----------------------------------------------------------------------------------------------


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


def test_an_alias_wraps_and_the_key_behind_it_is_remembered(kms: Kms) -> None:
    first, second = kms.key(ALIAS), kms.key()
    made = provider(ALIAS).create(2, (entry(version=1),))
    assert made.entry.source == f"AWS KMS {ALIAS}"
    assert made.setting["kms_key_id"] == first
    kms.client().update_alias(AliasName=ALIAS, TargetKeyId=second)
    assert fingerprint(provider(ALIAS).fetch(made.entry)) == made.fingerprint


def test_two_keys_are_not_the_same(kms: Kms) -> None:
    arn = kms.key()
    assert provider(arn).create(2, ()).fingerprint != provider(arn).create(2, ()).fingerprint


def test_what_is_printed_at_the_end_makes_the_ring_of_a_configuration_file(
    kms: Kms, aws: StandIn, tmp_path: Path
) -> None:
    arn = kms.key()
    second, third = (provider(arn).create(version, ()) for version in (2, 3))
    lines = [f"{name}: {text!r}" for name, text in second.setting.items()]
    # As `base64` breaks its lines, and without what the defaults say.
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


def test_a_context_of_its_own_opens_what_was_wrapped_elsewhere(kms: Kms) -> None:
    arn = kms.key()
    blob = kms.client().encrypt(KeyId=arn, Plaintext=b"k" * 32, EncryptionContext={"Tenant": "a"})["CiphertextBlob"]
    assert provider().fetch(entry(blob, encryption_context={"Tenant": Secret("a")})) == b"k" * 32
    for context in ({"tenant": Secret("a")}, {}, {"Tenant": Secret("b")}):
        assert "another key version" in refusal(provider().fetch, entry(blob, encryption_context=context))


def test_it_makes_and_rewraps_keys_and_destroys_none() -> None:
    assert isinstance(provider(), KeyCreator)
    assert isinstance(provider(), KeyRewrapper)
    assert not isinstance(provider(), KeyDestroyer)


# --- refused ------------------------------------------------------------------------------------------------------


def test_the_ciphertext_of_one_version_does_not_pass_for_another_s(kms: Kms) -> None:
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
    # What the entry says counts for more than what the section does.
    assert provider(ours).fetch(entry(text, kms_key_id=theirs)) == provider().fetch(entry(text))


@pytest.mark.parametrize("length", [1, 16, 31, 33, 64])
def test_a_key_of_another_length_is_refused(kms: Kms, length: int) -> None:
    blob = kms.client().encrypt(KeyId=kms.key(), Plaintext=b"k" * length, EncryptionContext=CONTEXT_OF_2)
    message = refusal(provider().fetch, entry(blob["CiphertextBlob"]), without="k" * 8)
    assert f"opens it to {length} bytes, and a key is 32" in message


def test_a_disabled_key_and_one_scheduled_for_deletion_are_told_as_such(kms: Kms) -> None:
    arn = kms.key()
    made = provider(arn).create(2, ())
    client = kms.client()
    client.disable_key(KeyId=kms.key_id(arn))
    assert refusal(provider().fetch, made.entry).endswith(f"the KMS key {arn} is disabled")
    # The service's own words name the key, where the configuration doesn't.
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
        ("InvalidKeyUsageException", "the KMS key that wraps it is not for this use"),
        ("ExpiredTokenException", "the AWS credentials have expired (ExpiredTokenException)"),
        ("UnrecognizedClientException", "AWS does not accept the credentials (UnrecognizedClientException)"),
        ("InvalidSignatureException", "AWS does not accept the credentials (InvalidSignatureException)"),
        ("SomethingNewException", "AWS KMS refused it (SomethingNewException)"),
        ("com.amazonaws.kms#DisabledException", "the KMS key that wraps it is disabled"),
        ("<script>", "AWS KMS refused it (HTTP 400)"),
    ],
)
def test_what_kms_refuses_is_told_in_a_line_and_not_tried_again(aws: StandIn, code: str, told: str) -> None:
    aws.fail(code, message="a canonical string with a signature-mark")
    message = refusal(provider().fetch, entry(b"wrapped"), without="signature-mark")
    assert message == f"the key at the test's entry can't be opened: {told}"
    assert aws.calls == {"Decrypt": 1}


@pytest.mark.parametrize(
    ("code", "status"),
    [("ThrottlingException", 400), ("LimitExceededException", 400), ("KMSInternalException", 500)],
)
def test_throttling_and_failures_of_the_service_are_tried_again(kms: Kms, aws: StandIn, code: str, status: int) -> None:
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
def test_what_goes_on_failing_is_told_after_a_bounded_number_of_attempts(
    aws: StandIn, code: str, status: int, told: str
) -> None:
    aws.fail(code, status=status)
    assert told in refusal(provider().fetch, entry(b"wrapped"))
    assert aws.calls == {"Decrypt": 2}


@pytest.mark.parametrize("kms_key_id", ["alias/nobody", "garbage", "arn:aws:kms:eu-central-1:1:key/gone"])
def test_a_kms_key_that_is_not_there_is_told_by_its_name(kms_key_id: str) -> None:
    told = f"the KMS key {kms_key_id} does not exist in region {REGION}"
    assert told in refusal(provider(kms_key_id).create, 2, ())


def test_a_new_key_never_takes_the_place_of_one_that_is_there(kms: Kms, aws: StandIn) -> None:
    arn = kms.key()
    there = (entry("d3JhcHBlZA==", version=1), entry("d3JhcHBlZA==", version=2, kms_key_id=arn))
    assert refusal(provider(arn).create, 2, there) == "there is a key of version 2 already: the test's entry"
    text = (KeyEntry(2, "env", "environment: KEY", Secret("k" * 32)),)
    assert refusal(provider(arn).create, 2, text) == "there is a key of version 2 already: environment: KEY"
    strange = (entry(version=2, encryption_context={"a": Secret("b")}),)
    assert "encryption_context" in refusal(provider(arn).create, 2, strange)
    assert not aws.calls


def test_without_a_kms_key_none_can_be_made(kms: Kms, aws: StandIn) -> None:
    assert "no wrapping key is configured" in refusal(provider().create, 2, (entry("d3JhcHBlZA==", version=1),))
    assert not aws.calls
    # The new version's own entry may say it.
    arn = kms.key()
    assert provider().create(2, (entry(version=2, kms_key_id=arn),)).setting["kms_key_id"] == arn


def test_a_key_that_may_be_made_and_not_opened_is_no_success(kms: Kms, aws: StandIn) -> None:
    aws.fail("AccessDeniedException", operation="Decrypt")
    assert "access denied: kms:Decrypt" in refusal(provider(kms.key()).create, 2, ())


# --- regions, credentials, endpoints ------------------------------------------------------------------------------


def test_the_region_is_that_of_the_entry_or_of_the_key_s_arn(kms: Kms) -> None:
    arn = kms.key(region=OTHER_REGION)
    made = provider(arn).create(2, ())
    assert fingerprint(provider().fetch(made.entry)) == made.fingerprint
    text = ciphertext_of(made)
    assert fingerprint(provider().fetch(entry(text, region=OTHER_REGION))) == made.fingerprint
    # Without either it is looked for where the environment says, and isn't there.
    assert "access denied" in refusal(provider().fetch, entry(text))


def test_the_region_of_aws_s_other_tools_counts_as_well(kms: Kms, monkeypatch: pytest.MonkeyPatch) -> None:
    made = provider(kms.key(region=OTHER_REGION)).create(2, ())
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    wrapped = entry(ciphertext_of(made))
    assert refusal(provider().fetch, wrapped).endswith("no AWS region is known")
    assert fingerprint(provider(environ={"AWS_REGION": OTHER_REGION}).fetch(wrapped)) == made.fingerprint


def test_a_profile_that_assumes_a_role_is_followed(
    kms: Kms, aws: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = provider(kms.key()).create(2, ())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "rotation")
    (tmp_path / "aws-config").write_text(
        f"[profile rotation]\nrole_arn = arn:aws:iam::123456789012:role/rotation\nsource_profile = base\n"
        f"region = {REGION}\nendpoint_url = {kms.url}\n"
    )
    (tmp_path / "aws-credentials").write_text(
        f"[base]\naws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n"
    )
    wrapped = entry(ciphertext_of(made))
    assert fingerprint(provider().fetch(wrapped)) == made.fingerprint
    # And a role that may not be assumed is told as that, not as a key that may not be used.
    aws.fail("AccessDenied", operation="AssumeRole")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.url)
    assert refusal(provider().fetch, wrapped).endswith("credentials can't be obtained (AssumeRole: AccessDenied)")
    assert aws.calls["AssumeRole"] == 1


def test_missing_credentials_and_profiles_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # A token with the line's end that it had in its file, which no header can carry.
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session\ntoken-mark")
    assert "no HTTP header can carry" in refusal(provider().fetch, entry(b"x"), without="token-mark")
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert refusal(provider().fetch, entry(b"x")).endswith("the profile in AWS_PROFILE does not exist")
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert refusal(provider().fetch, entry(b"x")).endswith("credentials can't be obtained (PartialCredentialsError)")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert refusal(provider().fetch, entry(b"x")).endswith("there are no AWS credentials")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("AWS_ENDPOINT_URL_KMS", "http://user:endpoint-mark@127.0.0.1:1", "AWS KMS at 127.0.0.1:1 can't be reached"),
        ("AWS_ENDPOINT_URL_KMS", "not a URL", "the configuration of AWS can't be used"),
        ("AWS_DEFAULT_REGION", "no region!", "the configuration of AWS can't be used"),
        ("AWS_MAX_ATTEMPTS", "often", "the configuration of AWS can't be used"),
    ],
)
def test_an_endpoint_that_does_not_answer_and_wrong_settings_are_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv(name, value)
    assert told in refusal(provider().fetch, entry(b"x"), without="endpoint-mark")


# --- rewrapped ----------------------------------------------------------------------------------------------------


def test_rewrapping_moves_a_key_to_another_kms_key_and_leaves_it_what_it_is(kms: Kms, aws: StandIn) -> None:
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


def test_rewrapping_keeps_a_context_and_a_region_of_its_own(kms: Kms) -> None:
    first, second = (kms.key(region=OTHER_REGION) for _ in range(2))
    blob = kms.client(OTHER_REGION).encrypt(KeyId=first, Plaintext=b"k" * 32, EncryptionContext={"Tenant": "a"})
    there = entry(blob["CiphertextBlob"], encryption_context={"Tenant": Secret("a")}, region=OTHER_REGION)
    moved = provider().rewrap(there, second)
    assert provider().fetch(moved.entry) == b"k" * 32
    assert moved.entry.options["encryption_context"] == {"Tenant": Secret("a")}


def test_rewrapping_is_refused_when_it_can_not_be_done(kms: Kms, aws: StandIn) -> None:
    arn, abroad = kms.key(), kms.key(region=OTHER_REGION)
    made = provider(arn).create(2, ())
    told = refusal(provider().rewrap, made.entry, abroad)
    assert told == (
        f"the key at AWS KMS {arn} can't be rewrapped: the key that wraps it is in {REGION}, and the new one in "
        f"{OTHER_REGION}"
    )
    assert "the KMS key alias/nobody does not exist" in refusal(provider().rewrap, made.entry, "alias/nobody")
    aws.fail("AccessDeniedException", operation="ReEncrypt", times=1)
    told = refusal(provider().rewrap, made.entry, arn)
    assert f"kms:ReEncryptFrom on the key that wraps it now, and kms:ReEncryptTo on the KMS key {arn}" in told
    with pytest.raises(KeyAbsentError, match="no ciphertext"):
        provider().rewrap(entry(), arn)
    assert fingerprint(provider().fetch(made.entry)) == made.fingerprint


def test_a_rewrapped_key_that_opens_to_another_one_is_not_handed_out(kms: Kms, aws: StandIn) -> None:
    arn = kms.key()
    made, stranger = (provider(arn).create(2, ()) for _ in range(2))
    answer = {"CiphertextBlob": ciphertext_of(stranger), "KeyId": arn, "SourceKeyId": arn}
    aws.fail("", operation="ReEncrypt", body=answer)
    assert "opens to another key" in refusal(provider().rewrap, made.entry, arn)


# --- secrets stay secret ------------------------------------------------------------------------------------------


def test_not_even_the_debug_log_of_boto3_shows_a_key(kms: Kms, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("boto3", "botocore"):
        caplog.set_level(logging.DEBUG, name)
    made = provider(kms.key()).create(2, ())
    key = provider().fetch(made.entry)
    assert caplog.records
    for mark in (base64.b64encode(key).decode(), key.hex(), repr(key)[2:-1], SECRET_ACCESS_KEY):
        assert mark not in caplog.text


def test_the_command_line_opens_wrapped_keys_and_says_what_is_wrong(
    command: Command, kms: Kms, aws: StandIn, kms_environment: dict[str, str]
) -> None:
    arn = kms.key()
    made = provider(arn).create(2, ())
    lines = "".join(f"        {name}: {text}\n" for name, text in made.setting.items())
    command.write(
        "fluxbase.yaml",
        f"security:\n  encryption:\n    keys:\n"
        f"      - version: 1\n        key: {'k' * 32}\n      - version: 2\n{lines}",
    )
    aws_command = command.having(**kms_environment).having(AWS_ENDPOINT_URL_KMS=aws.url)
    listed = aws_command("keys", "list", "-o", "json")
    assert listed.code == 0, listed.all
    assert [(key["version"], key["provider"], key["fingerprint"]) for key in listed.json["keys"]][-1] == (
        2,
        "aws_kms",
        made.fingerprint,
    )
    kms.client().disable_key(KeyId=kms.key_id(arn))
    refused = aws_command("keys", "list", "--debug")
    assert refused.code == 2
    assert f"the KMS key {arn} is disabled" in refused.stderr
    for mark in (ciphertext_of(made), SECRET_ACCESS_KEY, ACCESS_KEY_ID):
        assert mark not in listed.all + refused.all
