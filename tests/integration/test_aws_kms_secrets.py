"""Do keys, ciphertexts or credentials of AWS appear anywhere?"""

from __future__ import annotations

import base64
import logging

import pytest

from tests.fixtures.command import Command
from tests.fixtures.kms import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Kms, StandIn
from tests.fixtures.wrapped import ciphertext_of, provider

pytestmark = pytest.mark.usefixtures("aws")


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
