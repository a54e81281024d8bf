"""The provider `aws_secrets_manager`: reads, makes and destroys secrets, and says in one line what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from fluxbase_cli.config import EncryptionSettings, KeyEntry, Secret
from fluxbase_cli.encoding import Encoding
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.keyring import KeyAbsentError, ProviderContext, load_provider
from fluxbase_cli.keyring.aws_secrets_manager import AwsSecretsManagerKeyProvider
from fluxbase_cli.seal import fingerprint
from tests.fixtures.aws_secrets import SecretStore
from tests.fixtures.kms import ACCESS_KEY_ID, SECRET_ACCESS_KEY

KEY = bytes(range(32))
PLACE = "fluxbase.yaml: security.encryption.keys[0].key"
_OTHER_REGION = "us-west-2"


def provider(*entries: KeyEntry, encoding: Encoding = Encoding.HEX) -> AwsSecretsManagerKeyProvider:
    context = ProviderContext(EncryptionSettings(keys=entries), {}, pytest.fail, encoding)
    made = load_provider("aws_secrets_manager", context)
    assert isinstance(made, AwsSecretsManagerKeyProvider)
    return made


def entry(place: str, version: int = 1, **options: str) -> KeyEntry:
    reference = Secret(f"{{{{ aws_secrets_manager `{place}` }}}}")
    fields = {name: Secret(text) for name, text in options.items()}
    return KeyEntry(version, "aws_secrets_manager", PLACE, reference, fields)


def refusal(call: object, *arguments: object, absent: bool = False) -> str:
    with pytest.raises(ConfigurationError) as caught:
        call(*arguments)  # type: ignore[operator]
    error = caught.value
    told = f"{error.message} {error.hint}"
    assert isinstance(error, KeyAbsentError) is absent, told
    assert (error.exit_code, "\n" in told, error.__cause__, bool(error.hint)) == (ExitCode.USAGE, False, None, True)
    for secret in (ACCESS_KEY_ID, SECRET_ACCESS_KEY, KEY.hex(), "marker"):
        assert secret not in told
    return told


def test_a_key_is_read_in_each_form(secret_store: SecretStore) -> None:
    arn = secret_store.put("text", KEY.hex())
    secret_store.put("line", KEY.hex() + "\n")
    secret_store.put("json", json.dumps({"user": "x", "key-1": KEY.hex()}))
    secret_store.put("bytes", KEY)
    folder = secret_store.folder
    for place in (f"{folder}/text", f" {folder}/line ", f"{folder}/json#key-1", f"{folder}/bytes", arn):
        secret_store.stand_in.calls.clear()
        assert provider().fetch(entry(place)) == KEY
        assert dict(secret_store.stand_in.calls) == {"GetSecretValue": 1}
    created = provider().created_at(entry(f"{folder}/text"))
    assert created is not None
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=5)
    assert provider().created_at(entry(f"{folder}/none")) is None
    assert provider().place(entry(f"{folder}/json#key-1")) == f"AWS Secrets Manager: {folder}/json#key-1"


def test_the_region_is_that_of_the_entry_or_of_the_arn(secret_store: SecretStore) -> None:
    arn = secret_store.put("west", KEY.hex(), _OTHER_REGION)
    assert provider().fetch(entry(arn)) == KEY
    assert provider().fetch(entry(f"{secret_store.folder}/west", region=_OTHER_REGION)) == KEY
    assert "in region eu-central-1" in refusal(provider().fetch, entry(f"{secret_store.folder}/west"), absent=True)


def test_a_secret_without_a_key_is_refused_and_nothing_of_it_is_told(secret_store: SecretStore) -> None:
    folder = secret_store.folder
    secret_store.put("json", json.dumps({"marker-name": 1}))
    secret_store.put("text", "marker")
    secret_store.put("bytes", b"marker")
    for place, what in (
        ("json", "bytes long"),
        ("json#key", "the field is not among its 1 fields"),
        ("text#key", "is not JSON, so it has no field key"),
        ("text", "is 6 bytes long"),
        ("bytes", "is a binary secret of 6 bytes, and no key"),
    ):
        assert what in refusal(provider().fetch, entry(f"{folder}/{place}"))
    for value in ("", "fluxbase/keys/v1", "{{ aws_secrets_manager }}", "{{ aws_secrets_manager `a b` }}"):
        refusal(provider().fetch, KeyEntry(1, "aws_secrets_manager", PLACE, Secret(value)))
    assert "looks like a key" in refusal(provider().fetch, entry(KEY.hex()))
    assert "is not the name or the ARN of a secret" in refusal(provider().fetch, entry("arn:aws:kms:x:1:key/2"))
    assert secret_store.stand_in.calls.total() == 5


def test_a_secret_that_is_gone_is_told_apart_from_one_that_can_come_back(secret_store: SecretStore) -> None:
    known = entry(f"{secret_store.folder}/v1")
    told = refusal(provider().fetch, known, absent=True)
    assert f"{PLACE} can't be read: the secret {secret_store.folder}/v1 does not exist in region eu-central-1" in told
    secret_store.put("v1", KEY.hex())
    secret_store.client().delete_secret(SecretId=f"{secret_store.folder}/v1", RecoveryWindowInDays=7)
    told = refusal(provider().fetch, known, absent=True)
    assert "is marked for deletion" in told
    assert "restore-secret" in told


def test_a_key_goes_to_its_entry_or_beside_the_others_and_nothing_is_overwritten(secret_store: SecretStore) -> None:
    first = entry(f"{secret_store.folder}/keys/v1#main", region="eu-central-1")
    made = provider(first).create(2, (first,))
    fields = json.loads(secret_store.get("keys/v2"))
    assert set(fields) == {"main"}
    assert made.fingerprint == fingerprint(bytes.fromhex(fields["main"]))
    assert made.setting == {
        "key": f"{{{{ aws_secrets_manager `{secret_store.folder}/keys/v2#main` }}}}",
        "region": "eu-central-1",
    }
    assert provider().fetch(made.entry).hex() == fields["main"]
    found = provider(first).find(2, (first,))
    assert found is not None
    assert found.fingerprint == made.fingerprint
    assert provider(first).find(3, (first,)) is None

    assert "already; nothing was written" in refusal(provider(first).create, 2, (first,))
    assert json.loads(secret_store.get("keys/v2")) == fields
    own = entry(f"{secret_store.folder}/elsewhere", 3)
    assert provider(first, own, encoding=Encoding.RAW).create(3, (first, own)).setting == {"key": own.value.reveal()}
    assert len(secret_store.get("elsewhere")) == 32
    assert "nothing says which secret" in refusal(provider().create, 2, ())
    arn = entry(secret_store.put("v7", KEY.hex()), 7)
    assert "no name of the other versions contains" in refusal(provider(arn).create, 8, (arn,))
    other = KeyEntry(2, "vault", "the other", Secret("x"))
    with pytest.raises(ConfigurationError, match="the other: key version 2 is configured for the provider vault"):
        provider(other).create(2, (other,))


def test_a_secret_is_destroyed_without_a_recovery_window(secret_store: SecretStore) -> None:
    known = entry(f"{secret_store.folder}/v1")
    secret_store.put("v1", KEY.hex())
    secret_store.client().put_secret_value(SecretId=f"{secret_store.folder}/v1", SecretString=KEY.hex())
    provider(known).destroy(known)
    assert (provider().exists(known), secret_store.names()) == (False, set())
    provider(known).destroy(known)
    # Also one that somebody has deleted by hand, which could be brought back for a week.
    secret_store.put("v1", KEY.hex())
    secret_store.client().delete_secret(SecretId=f"{secret_store.folder}/v1", RecoveryWindowInDays=7)
    assert secret_store.names() == {"v1"}
    provider(known).destroy(known)
    assert secret_store.names() == set()


def test_a_deletion_that_takes_its_time_is_waited_for(
    secret_store: SecretStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxbase_cli.keyring.aws_secrets_manager.provider._LOOK_S", 0.01)
    still_there = {"ARN": "arn", "Name": "n"}
    secret_store.stand_in.fail("", body=still_there, operation="DescribeSecret", times=3)
    assert not provider().exists(entry(f"{secret_store.folder}/v1"))
    assert secret_store.stand_in.calls["DescribeSecret"] == 4
    monkeypatch.setattr("fluxbase_cli.keyring.aws_secrets_manager.provider._GONE_AFTER_S", 0.0)
    secret_store.put("v1", KEY.hex())
    assert provider().exists(entry(f"{secret_store.folder}/v1"))


def test_nothing_else_is_destroyed_with_a_key(secret_store: SecretStore) -> None:
    secret_store.put("more", json.dumps({"key": KEY.hex(), "password": "marker"}))
    first = entry(f"{secret_store.folder}/more#key")
    assert "holds 1 more field than this key" in refusal(provider(first).destroy, first)
    secret_store.put("both", json.dumps({"key": KEY.hex()}))
    first, second = entry(f"{secret_store.folder}/both#key"), entry(f"{secret_store.folder}/both", 2)
    assert "key version 2 refers to the same secret" in refusal(provider(first, second).destroy, first)
    message = "You can't delete secret x that still has replica regions [us-west-2]"
    secret_store.stand_in.fail("InvalidParameterException", message=message, operation="DeleteSecret")
    assert "has replicas in other regions, or is one" in refusal(provider(first).destroy, first)
    assert secret_store.names() == {"more", "both"}


@pytest.mark.parametrize(
    ("code", "status", "what"),
    [
        ("AccessDeniedException", 400, "access denied: secretsmanager:GetSecretValue on the secret"),
        ("ExpiredTokenException", 400, "the AWS credentials have expired (ExpiredTokenException)"),
        ("UnrecognizedClientException", 400, "AWS does not accept the credentials"),
        ("ThrottlingException", 400, "AWS Secrets Manager throttles the calls of this account"),
        ("InternalServiceError", 500, "AWS Secrets Manager failed (InternalServiceError)"),
        ("DecryptionFailure", 400, "AWS Secrets Manager can't decrypt the secret"),
        ("InvalidParameterException", 400, "the secret x has a name that AWS Secrets Manager does not understand"),
        ("SomethingNew", 400, "AWS Secrets Manager refused it (SomethingNew)"),
        ("SomethingNew", 503, "AWS Secrets Manager failed (SomethingNew)"),
    ],
)
def test_each_refusal_is_one_line(code: str, status: int, what: str) -> None:
    from fluxbase_cli.keyring.aws.refusals import Answer, Call  # noqa: PLC0415  # botocore, for this test only
    from fluxbase_cli.keyring.aws_secrets_manager.refusals import refused  # noqa: PLC0415

    action = "secretsmanager:GetSecretValue"
    call = Call("it failed", "GetSecretValue", action, "the secret x", "AWS Secrets Manager", "AWS_ENDPOINT")
    made = refused(Answer(code, status, "marker", "GetSecretValue"), call)
    assert made.message.startswith(f"it failed: {what}")
    assert made.hint
    assert "marker" not in f"{made.message} {made.hint}"
    # A call that boto3 made to get the credentials failed.
    other = refused(Answer(code, status, "marker", "AssumeRole"), call)
    assert f"the AWS credentials can't be obtained (AssumeRole: {code})" in other.message


@pytest.mark.parametrize(
    ("code", "what"),
    [("AccessDeniedException", "access denied"), ("ThrottlingException", "AWS Secrets Manager throttles the calls")],
)
def test_a_refusal_that_names_a_secret_is_no_other_refusal(code: str, what: str) -> None:
    from fluxbase_cli.keyring.aws.refusals import Answer, Call  # noqa: PLC0415  # botocore, for this test only
    from fluxbase_cli.keyring.aws_secrets_manager.refusals import refused  # noqa: PLC0415

    call = Call("it failed", "GetSecretValue", "an action", "the secret replica/v1", "AWS Secrets Manager", "AWS_E")
    made = refused(Answer(code, 400, "on resource: arn:aws:secretsmanager:…:secret:replica/v1", "GetSecretValue"), call)
    assert what in made.message


def test_a_service_that_is_away_is_told(secret_store: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1")
    told = refusal(provider().fetch, entry("v1"))
    assert "AWS Secrets Manager at 127.0.0.1:1 can't be reached" in told
    assert "AWS_ENDPOINT_URL_SECRETS_MANAGER" in told
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert "there are no AWS credentials" in refusal(provider().fetch, entry("v1"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    assert "no AWS region is known" in refusal(provider().fetch, entry("v1"))


def test_without_a_key_of_aws_neither_boto3_nor_botocore_is_loaded() -> None:
    code = (
        "import sys, fluxbase_cli.keyring.aws_secrets_manager; sys.exit(bool({'boto3', 'botocore'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
