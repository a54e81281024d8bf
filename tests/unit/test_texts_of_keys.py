"""Errors and warnings about the configuration and the keys: what happened, where, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fluxbase_cli.config import ActivePointer, DatabaseSettings, EncryptionSettings, KeyEntry, Secret, Settings
from fluxbase_cli.config.settings import load_settings
from fluxbase_cli.duration import parse_duration
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import Key
from fluxbase_cli.keyring.file.reading import read_key_file
from fluxbase_cli.keyring.pattern import own_entry
from fluxbase_cli.keyring.vault_transit.engine import parse_wrapping_key
from fluxbase_cli.keys import interlocks
from fluxbase_cli.keys.active_version import follow_pointer, move_pointer
from fluxbase_cli.keys.target_rules import refuse_unfit


def no_warning(text: str) -> None:
    raise AssertionError(text)


def settings(pointer: ActivePointer | None = None) -> Settings:
    return Settings(None, None, DatabaseSettings(), EncryptionSettings(active_pointer=pointer))


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        (
            "database: {host: 'postgresql://db/x'}\n",
            "fluxbase.yaml: database.host is a whole connection string",
            "Set FLUXBASE_DATABASE_URL to it, or pass it with --database-url.",
        ),
        (
            "database: 5\n",
            "fluxbase.yaml: database must be a mapping (`name: value`)",
            "Write each of its settings on its own line, indented, as in `name: value`.",
        ),
        (
            "just text\n",
            "fluxbase.yaml must be a mapping (`name: value`) at its top",
            "Check that this is the right file. Write each of its settings as in `name: value`.",
        ),
        (
            f"a: {'[' * 70}{']' * 70}\n",
            "fluxbase.yaml is not valid YAML: it is nested too deeply",
            "Use fewer levels, and write the values themselves in place of aliases (`*name`).",
        ),
        (
            "security: {encryption: {keys: [{version: 1}]}}\n",
            "fluxbase.yaml: security.encryption.keys[0] has no key",
            'Write `key: "${VARIABLE}"`, or set `provider:`.',
        ),
        (
            "security: {encryption: {provider: hunter 2}}\n",
            "fluxbase.yaml: security.encryption.provider is not the name of a provider",
            "Write the name of one: env, file or vault, for example.",
        ),
    ],
)
def test_an_error_in_the_configuration_says_what_to_do(tmp_path: Path, written: str, message: str, hint: str) -> None:
    (tmp_path / "fluxbase.yaml").write_text(written)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(directory=tmp_path, environ={}, system_directory=tmp_path / "etc")
    assert (caught.value.message, caught.value.hint) == (message, hint)


ENTRY = KeyEntry(2, "vault", "the entry", Secret(""))
TEXT_POINTER = ActivePointer("fluxbase.yaml: active_key_version", "env", Secret("x"))


@pytest.mark.parametrize(
    ("call", "message", "hint"),
    [
        (
            lambda: parse_duration("5300w", "--keep"),
            "--keep is longer than 100 years",
            "Write a shorter time, such as 90d or 52w.",
        ),
        (
            lambda: move_pointer(settings(), {}, 2, warn=no_warning),
            "security.encryption.active_key_version is a number, and not a reference to a key source",
            "Change the number in the configuration by hand.",
        ),
        (
            lambda: follow_pointer(settings(TEXT_POINTER), {}, warn=no_warning),
            "fluxbase.yaml: active_key_version: the provider 'env' can't keep the active version",
            "Write the number itself there, or a reference to a place in Vault.",
        ),
        (
            lambda: own_entry(2, (ENTRY,), "file"),
            "the entry: key version 2 is configured for the provider vault",
            "Choose another version with --key-version, or set `provider: file` at that entry.",
        ),
        (
            lambda: parse_wrapping_key("fluxbase", "kms_key_id"),
            "kms_key_id is not the name of a key of Vault's engine transit",
            "Set kms_key_id to the mount and the name of the wrapping key, as in transit/fluxbase.",
        ),
        (
            lambda: read_key_file(Path("/nowhere/v1"), "the entry"),
            "the key file /nowhere/v1 (the entry) can't be read: there is no folder /nowhere",
            "Mount the secret there, or correct the path.",
        ),
        (
            lambda: refuse_unfit(Key(2, b"0" * 32, "env", "there"), EncryptionSettings()),
            "key version 2 at there is not used as a new key: it is one character repeated",
            "`fluxbase-cli keys generate` makes a good one. --allow-weak-key uses it anyway.",
        ),
    ],
)
def test_an_error_about_keys_says_what_to_do(call: object, message: str, hint: str) -> None:
    assert callable(call)
    with pytest.raises(ConfigurationError) as caught:
        call()
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_key_that_must_be_kept_says_to_wait() -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    week = timedelta(days=7)
    reasons = interlocks.before_backups_have_passed(now + week, now, week, now)
    assert [reason.rpartition(": ")[2] for reason in reasons] == ["wait until then"] * 2
