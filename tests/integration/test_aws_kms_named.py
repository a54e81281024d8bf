"""A wrapped key of the database is not believed: its KMS key must be configured, and its fingerprint as recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fluxbase_cli.config import EncryptionSettings, KeyEntry, Secret
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import ProviderContext, fetch_key
from fluxbase_cli.keyring.aws_kms import AwsKmsKeyProvider
from fluxbase_cli.keyring.aws_kms.wrapped import is_same_key
from fluxbase_cli.seal import fingerprint
from tests.fixtures.kms import Kms
from tests.fixtures.wrapped import CONTEXT_OF_2, entry, provider, refusal

pytestmark = pytest.mark.usefixtures("aws")

KEY, OTHER = b"k" * 32, b"o" * 32


def stored(kms: Kms, wrapping_key: str, key: bytes = KEY, recorded: bytes = KEY) -> KeyEntry:
    """The entry of a row of the database, which says that this KMS key wraps it."""
    blob = kms.client().encrypt(KeyId=wrapping_key, Plaintext=key, EncryptionContext=CONTEXT_OF_2)
    row = entry(blob["CiphertextBlob"], kms_key_id=wrapping_key)
    return replace(row, recorded=fingerprint(recorded))


def named(*names: str) -> AwsKmsKeyProvider:
    first, *others = names
    return AwsKmsKeyProvider(
        ProviderContext(EncryptionSettings(kms_key_id=first, previous_kms_key_ids=tuple(others)), {})
    )


def test_the_ciphertext_of_another_kms_key_is_not_opened(kms: Kms) -> None:
    """Somebody has put the ciphertext and the id of a KMS key of another account or installation into the row."""
    ours, theirs = kms.key(), kms.key()
    row = stored(kms, theirs)

    assert f"KMS key {theirs} wraps it, and the configuration names {ours}" in refusal(named(ours).fetch, row)
    assert "the configuration names none" in refusal(provider().fetch, row)
    # An entry of the configuration names its own KMS key.
    assert provider().fetch(replace(row, recorded=None)) == KEY


def test_a_kms_key_that_is_configured_in_any_form_opens(kms: Kms) -> None:
    kms.key("alias/now")
    ours = kms.key("alias/before")
    row = stored(kms, ours)

    for names in ([ours], [kms.key_id(ours)], ["alias/before"], ["alias/now", ours], ["alias/now", "alias/before"]):
        assert named(*names).fetch(row) == KEY, names
    assert "the configuration names alias/now" in refusal(named("alias/now").fetch, row)
    # The row may lie about the KMS key. Then the alias decides.
    lying = replace(row, options={**row.options, "kms_key_id": Secret("arn:aws:kms:eu-central-1:1:key/none")})
    assert named("alias/before").fetch(lying) == KEY


def test_a_key_with_another_fingerprint_than_the_recorded_one_is_not_used(kms: Kms) -> None:
    ours = kms.key()
    row = stored(kms, ours, key=OTHER, recorded=KEY)

    with pytest.raises(ConfigurationError, match=f"fingerprint {fingerprint(OTHER)}, and {fingerprint(KEY)} is"):
        fetch_key(named(ours), row)
    assert fetch_key(named(ours), stored(kms, ours)) == KEY


def test_a_key_is_rewrapped_only_from_a_configured_kms_key_or_the_new_one(kms: Kms) -> None:
    ours, theirs, new = kms.key(), kms.key(), kms.key()

    assert named(ours).rewrap(stored(kms, ours), new).fingerprint == fingerprint(KEY)
    # A run that was interrupted had done it already.
    assert named(ours).rewrap(stored(kms, new), new).fingerprint == fingerprint(KEY)
    assert "the configuration names" in refusal(named(ours).rewrap, stored(kms, theirs), new)


@pytest.mark.parametrize(
    ("name", "recorded", "same"),
    [
        ("1234", "arn:aws:kms:eu-west-1:1:key/1234", True),
        ("arn:aws:kms:eu-west-1:1:key/1234", "1234", True),
        ("arn:aws:kms:eu-west-1:1:key/1234", "arn:aws:kms:eu-west-1:1:key/1234", True),
        ("arn:aws:kms:eu-west-1:1:key/1234", "arn:aws:kms:eu-west-1:2:key/1234", False),
        ("arn:aws:kms:eu-west-1:1:key/mrk-1", "arn:aws:kms:us-east-1:1:key/mrk-1", True),
        ("arn:aws:kms:eu-west-1:1:key/mrk-1", "arn:aws:kms:us-east-1:2:key/mrk-1", False),
        ("234", "arn:aws:kms:eu-west-1:1:key/1234", False),
        ("alias/a", "alias/a", False),
        ("1234", None, False),
    ],
)
def test_names_of_one_kms_key(name: str, recorded: str | None, *, same: bool) -> None:
    assert is_same_key(name, recorded) is same
