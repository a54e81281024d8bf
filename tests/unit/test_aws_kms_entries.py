"""What an entry for a wrapped key may say, and how boto3's errors are reported."""

from __future__ import annotations

import base64
import subprocess
import sys
from typing import Any

import pytest
from botocore import exceptions as aws

from fluxbase_cli.config import EncryptionSettings, KeyEntry, Secret
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import KeyAbsentError
from fluxbase_cli.keyring.aws_kms.refusals import Call, explained
from fluxbase_cli.keyring.aws_kms.wrapped import Wrapped, find_arn, read_wrapped, region_of_arn

ARN = "arn:aws:kms:eu-north-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
BLOB = bytes(range(250))
TEXT = base64.b64encode(BLOB).decode()
CALL = Call("it failed", "Decrypt", "kms:Decrypt", ARN, "eu-north-1", "https://user:mark@kms.example:8443/path")


def entry(value: str = "", **options: Any) -> KeyEntry:
    secrets = {name: Secret(each) if isinstance(each, str) else each for name, each in options.items()}
    return KeyEntry(2, "aws_kms", "the place", Secret(value), secrets)


def read(made: KeyEntry, kms_key_id: str | None = None) -> Wrapped:
    return read_wrapped(made, EncryptionSettings(kms_key_id=kms_key_id))


def test_an_entry_with_a_ciphertext_is_all_that_is_needed() -> None:
    wrapped = read(entry(ciphertext=TEXT))
    assert wrapped == Wrapped(BLOB, None, None, {"app": "fluxbase", "key_version": "2"})
    assert repr(BLOB)[2:-1] not in repr(wrapped)


@pytest.mark.parametrize("text", [f" {TEXT}\n", "\n".join((TEXT[:76], TEXT[76:])), f"{TEXT[:9]} {TEXT[9:]}"])
def test_white_space_in_a_ciphertext_is_ignored(text: str) -> None:
    assert read(entry(ciphertext=text)).ciphertext == BLOB


@pytest.mark.parametrize(
    ("options", "section", "expected"),
    [
        ({}, None, (None, None)),
        ({}, "alias/k", ("alias/k", None)),
        ({}, ARN, (ARN, "eu-north-1")),
        ({"kms_key_id": ARN}, "alias/k", (ARN, "eu-north-1")),
        ({"kms_key_id": " ", "region": " "}, ARN, (ARN, "eu-north-1")),
        ({"region": "eu-west-1"}, ARN, (ARN, "eu-west-1")),
        ({"region": "eu-west-1"}, None, (None, "eu-west-1")),
    ],
)
def test_the_entry_overrides_the_section_and_the_section_overrides_the_default(
    options: dict[str, Any], section: str | None, expected: tuple[str | None, str | None]
) -> None:
    wrapped = read(entry(ciphertext=TEXT, **options), section)
    assert (wrapped.kms_key_id, wrapped.region) == expected


def test_the_context_of_an_entry_is_taken_as_it_is_written() -> None:
    context = {"Tenant": Secret("A"), "": Secret("")}
    assert read(entry(ciphertext=TEXT, encryption_context=context)).context == {"Tenant": "A", "": ""}


@pytest.mark.parametrize("options", [{}, {"ciphertext": ""}, {"ciphertext": " \n"}, {"kms_key_id": ARN}])
def test_an_entry_without_a_ciphertext_is_a_missing_key(options: dict[str, Any]) -> None:
    with pytest.raises(KeyAbsentError, match="the key at the place has no ciphertext") as caught:
        read(entry(**options))
    assert "keys generate --store" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("made", "expected_text"),
    [
        (entry("hunter2" * 5), "the key at the place is a key itself"),
        (entry("hunter2" * 5, ciphertext=TEXT), "the key at the place is a key itself"),
        (entry(ciphertext="hunter2!"), "the ciphertext at the place is 8 characters long, and not standard base64"),
        (entry(ciphertext=TEXT.replace("+", "-")), "not standard base64"),
        (entry(ciphertext=TEXT[:-2]), "not standard base64"),
        (entry(ciphertext="===="), "not standard base64"),
        (entry(ciphertext="A" * 8196), "is 6147 bytes long; AWS KMS makes at most 6144"),
        (entry(ciphertext={"a": Secret("hunter2")}), "`ciphertext` at the place is not text"),
        (entry(ciphertext=TEXT, region={"a": Secret("hunter2")}), "`region` at the place is not text"),
        (entry(ciphertext=TEXT, encryption_context="hunter2"), "`encryption_context` at the place is not a mapping"),
    ],
)
def test_an_unusable_setting_is_named_by_its_place_and_its_value_is_not_shown(
    made: KeyEntry, expected_text: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(made)
    assert not isinstance(caught.value, KeyAbsentError)
    assert expected_text in caught.value.message
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("name", "region"),
    [
        (ARN, "eu-north-1"),
        ("arn:aws-cn:kms:cn-north-1:123456789012:alias/a/b", "cn-north-1"),
        ("arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/mrk-1", "us-gov-west-1"),
        ("alias/k", None),
        ("1234abcd-12ab-34cd-56ef-1234567890ab", None),
        ("arn:aws:s3:eu-north-1:123456789012:key/x", None),
        (f"{ARN} x", None),
        ("", None),
        (None, None),
    ],
)
def test_only_the_arn_of_a_key_gives_a_region(name: str | None, region: str | None) -> None:
    assert region_of_arn(name) == region


def test_an_arn_is_found_in_the_service_s_words() -> None:
    assert find_arn(f"Key '{ARN}' is disabled.") == ARN
    assert find_arn(f"{ARN}.") == ARN
    assert find_arn("no key of anybody's") is None


@pytest.mark.parametrize(
    ("error", "expected_text"),
    [
        (aws.NoCredentialsError(), "there are no AWS credentials"),
        (aws.NoRegionError(), "no AWS region is known"),
        (aws.ProfileNotFound(profile="mark"), "the profile in AWS_PROFILE does not exist"),
        (aws.UnauthorizedSSOTokenError(), "the AWS credentials can't be obtained (UnauthorizedSSOTokenError)"),
        (
            aws.CredentialRetrievalError(provider="custom-process", error_msg="mark"),
            "the AWS credentials can't be obtained (CredentialRetrievalError)",
        ),
        (
            aws.SSLError(endpoint_url="mark", error=OSError("mark")),
            "AWS KMS at kms.example:8443 has no trusted certificate",
        ),
        (aws.ConnectTimeoutError(endpoint_url="mark"), "AWS KMS at kms.example:8443 can't be reached (Connect"),
        (aws.ReadTimeoutError(endpoint_url="mark"), "AWS KMS at kms.example:8443 does not answer"),
        (aws.ConnectionClosedError(endpoint_url="mark"), "AWS KMS at kms.example:8443 can't be reached (Connection"),
        (aws.ProxyConnectionError(proxy_url="http://mark"), "AWS KMS at kms.example:8443 can't be reached (Proxy"),
        (aws.ParamValidationError(report="value: mark"), f"the KMS key {ARN} has a name that AWS KMS does not"),
        (aws.ConfigParseError(path="mark"), "the configuration of AWS can't be used (ConfigParseError)"),
        (ValueError("Invalid endpoint: mark"), "the configuration of AWS can't be used (ValueError)"),
    ],
)
def test_an_error_of_boto3_becomes_one_line_without_the_values_that_it_quotes(error: Any, expected_text: str) -> None:
    made = explained(error, CALL)
    assert made.message.startswith(f"it failed: {expected_text}")
    assert made.hint
    assert "mark" not in f"{made.message} {made.hint}"
    assert "{" not in f"{made.message} {made.hint}"


def test_without_a_wrapped_key_neither_boto3_nor_botocore_is_loaded() -> None:
    code = "import sys, fluxbase_cli.keyring.aws_kms; sys.exit(bool({'boto3', 'botocore'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
