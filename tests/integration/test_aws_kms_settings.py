"""Which region, credentials and endpoint does AWS KMS use, and what do the messages say about wrong ones?"""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxbase_cli.seal import fingerprint
from tests.fixtures.kms import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, Kms, StandIn
from tests.fixtures.wrapped import OTHER_REGION, ciphertext_of, entry, provider, refusal

pytestmark = pytest.mark.usefixtures("aws")


def test_the_region_comes_from_the_entry_or_from_the_arn_of_the_key(kms: Kms) -> None:
    arn = kms.key(region=OTHER_REGION)
    made = provider(arn).create(2, ())
    assert fingerprint(provider().fetch(made.entry)) == made.fingerprint
    text = ciphertext_of(made)
    assert fingerprint(provider().fetch(entry(text, region=OTHER_REGION))) == made.fingerprint
    # Without either, the region is looked for in the environment, and it is not there.
    assert "access denied" in refusal(provider().fetch, entry(text))


def test_the_region_variables_of_other_aws_tools_work_too(kms: Kms, monkeypatch: pytest.MonkeyPatch) -> None:
    made = provider(kms.key(region=OTHER_REGION)).create(2, ())
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    wrapped = entry(ciphertext_of(made))
    assert refusal(provider().fetch, wrapped).endswith("no AWS region is known")
    assert fingerprint(provider(environ={"AWS_REGION": OTHER_REGION}).fetch(wrapped)) == made.fingerprint


def test_a_profile_that_assumes_a_role_works(
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
    # A role that must not be assumed is reported as that, and not as a key that must not be used.
    aws.fail("AccessDenied", operation="AssumeRole")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.url)
    assert refusal(provider().fetch, wrapped).endswith("credentials can't be obtained (AssumeRole: AccessDenied)")
    assert aws.calls["AssumeRole"] == 1


def test_missing_credentials_and_profiles_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    # A token with the line break that it had in its file. No header can contain that.
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
def test_an_endpoint_that_does_not_answer_and_wrong_settings_are_reported(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv(name, value)
    assert told in refusal(provider().fetch, entry(b"x"), without="endpoint-mark")
