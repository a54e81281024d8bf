"""Which keys the configuration names, and which provider reads each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fluxbase_cli.config import EncryptionSettings, KeyRotationSettings, Secret, Settings, load_settings
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

HEX = "0123456789abcdef" * 4


def load(directory: Path, text: str = "", environ: dict[str, str] | None = None, dotenv: str | None = None) -> Settings:
    (directory / "fluxbase.yaml").write_text(text, encoding="utf-8")
    if dotenv is not None:
        (directory / ".env").write_text(dotenv, encoding="utf-8")
    return load_settings(directory=directory, environ=environ or {}, system_directory=directory / "etc")


def encryption(directory: Path, section: str, environ: dict[str, str] | None = None) -> Settings:
    """Load a file that has only this section, in YAML's flow style."""
    return load(directory, f"security:\n  encryption: {section}\n", environ)


def refusal(directory: Path, section: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        encryption(directory, section, environ)
    assert "\n" not in caught.value.message
    return caught.value.message


def keys(settings: Settings) -> list[tuple[int, str, str, str]]:
    return [(key.version, key.provider, key.value.reveal(), key.source) for key in settings.encryption.keys]


def test_the_keys_of_the_file_are_sorted_by_version_and_record_their_place(tmp_path: Path) -> None:
    settings = encryption(tmp_path, '{keys: [{version: 2, key: "${NEW}"}, {version: 1, key: old}]}', {"NEW": "new"})
    assert keys(settings) == [
        (1, "env", "old", "fluxbase.yaml: security.encryption.keys[1].key"),
        (2, "env", "new", "fluxbase.yaml: security.encryption.keys[0].key (${NEW})"),
    ]
    assert settings.warnings == ()


def test_the_place_of_a_key_names_the_file_as_the_user_knows_it(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "fluxbase.yaml"
    path.parent.mkdir()
    path.write_text("encryption_key: k\n", encoding="utf-8")
    settings = load_settings(directory=tmp_path, environ={}, system_directory=path.parent)
    assert settings.encryption.keys[0].source == f"{path}: encryption_key"


def test_without_keys_in_the_file_the_variables_are_the_keyring(tmp_path: Path) -> None:
    environ = {"FLUXBASE_SECRET_KEY_10": "ten", "FLUXBASE_SECRET_KEY_2": "two", "FLUXBASE_SECRET_KEY_3": ""}
    settings = load(tmp_path, "security: {encryption: {keys: []}}", environ, "FLUXBASE_SECRET_KEY_1=one\n")
    assert keys(settings) == [
        (1, "env", "one", ".env: FLUXBASE_SECRET_KEY_1"),
        (2, "env", "two", "environment: FLUXBASE_SECRET_KEY_2"),
        (10, "env", "ten", "environment: FLUXBASE_SECRET_KEY_10"),
    ]


@pytest.mark.parametrize(
    ("environ", "place"),
    [({}, "fluxbase.yaml: encryption_key"), ({"FLUXBASE_ENCRYPTION_KEY": "v"}, "environment: FLUXBASE_ENCRYPTION_KEY")],
)
def test_without_either_the_servers_one_key_is_version_1(tmp_path: Path, environ: dict[str, str], place: str) -> None:
    settings = load(tmp_path, "encryption_key: f\n", environ)
    assert keys(settings) == [(1, "env", "v" if environ else "f", place)]
    assert settings.encryption.effective_key_version == 1
    assert settings.warnings == ()


def test_a_configuration_without_keys_is_accepted_here_and_refused_by_the_keyring(tmp_path: Path) -> None:
    settings = encryption(tmp_path, "{active_key_version: 2}")
    assert settings.encryption.keys == ()
    assert settings.encryption.active_key_version == 2
    assert load(tmp_path, "encryption_key: ''\n").encryption == EncryptionSettings()


@pytest.mark.parametrize(
    ("entry", "configured", "expected"),
    [
        ("key: k", None, "env"),
        # A move to Vault begins with a key ring whose old key is still written as text. That text must not be sent to
        # Vault.
        ("key: k", "vault", "env"),
        ("key: k", "aws_kms", "env"),
        ("key: k", "company-hsm", "company-hsm"),
        ("key: k, provider: vault", None, "vault"),
        ("note: n", "vault", "vault"),
        ("key: ''", "vault", "vault"),
        ("key: k, provider: env", "vault", "env"),
        ("key: k, provider: Company-HSM", None, "company-hsm"),
        ("key: '{{ vault `secret/k#f` }}'", None, "vault"),
        ("key: '{{ vault `secret/k#f` }}'", "aws_kms", "vault"),
        ("key: '{{vault `secret/k`}}', provider: other", None, "other"),
        ("key: '{{ vault `a` }} and more'", None, "env"),
        ("key: '{{ vaults `a` }}'", None, "env"),
        ("ciphertext: c", None, "aws_kms"),
        ("ciphertext: c", "vault", "aws_kms"),
        ("region: r", "aws_kms", "aws_kms"),
    ],
)
def test_the_provider_is_the_named_one_or_follows_from_the_form_of_the_key(
    tmp_path: Path, entry: str, configured: str | None, expected: str
) -> None:
    provider = "" if configured is None else f"provider: {configured}, "
    settings = encryption(tmp_path, f"{{{provider}keys: [{{version: 1, {entry}}}]}}")
    assert settings.encryption.keys[0].provider == expected
    assert settings.encryption.provider == configured


def test_variables_in_a_key_are_expanded_before_its_form_is_looked_at(tmp_path: Path) -> None:
    settings = encryption(tmp_path, '{keys: [{version: 1, key: "${K}"}]}', {"K": "{{ vault `a/b` }}"})
    assert settings.encryption.keys[0].provider == "vault"
    assert load(tmp_path, "", {"FLUXBASE_SECRET_KEY_1": "{{ vault `a/b` }}"}).encryption.keys[0].provider == "vault"


@pytest.mark.parametrize("provider", ["vault", "aws_kms"])
def test_a_key_from_a_variable_stays_text_when_the_provider_takes_references(tmp_path: Path, provider: str) -> None:
    settings = encryption(tmp_path, f"{{provider: {provider}}}", {"FLUXBASE_SECRET_KEY_1": HEX})
    assert [entry.provider for entry in settings.encryption.keys] == ["env"]


def test_the_servers_single_key_is_never_given_to_another_provider_as_a_name(tmp_path: Path) -> None:
    settings = load(tmp_path, f"encryption_key: '{HEX}'\nsecurity: {{encryption: {{provider: vault}}}}\n")
    assert settings.encryption.keys[0].provider == "env"


def test_other_fields_of_an_entry_are_options_and_are_not_shown(tmp_path: Path) -> None:
    entry = "version: 1, Ciphertext: c, REGION: eu, retries: 3, context: {App: a, TENANT: 7}, note: ~"
    (key,) = encryption(tmp_path, f"{{keys: [{{{entry}}}]}}").encryption.keys
    assert key.source == "fluxbase.yaml: security.encryption.keys[0]"
    assert not key.value
    assert key.options == {
        "ciphertext": Secret("c"),
        "region": Secret("eu"),
        "retries": Secret("3"),
        "context": {"App": Secret("a"), "TENANT": Secret("7")},
    }
    assert hash(key)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{keys: [{key: hunter2}]}", "security.encryption.keys[0] has no version"),
        ("{keys: [{version: ~, key: hunter2}]}", "security.encryption.keys[0] has no version"),
        ("{keys: [{version: 1}]}", "security.encryption.keys[0] has no key"),
        ("{keys: [{version: 1, key: ''}]}", "security.encryption.keys[0].key has no key"),
        ("{keys: [{version: 1, key: {a: hunter2}}]}", "security.encryption.keys[0].key must be a single value"),
        ("{keys: [hunter2]}", "security.encryption.keys[0] must be a mapping"),
        ("{keys: {version: 1, key: hunter2}}", "security.encryption.keys must be a list"),
        (
            "{keys: [{version: 1, key: hunter2, x: [[hunter2]]}]}",
            "security.encryption.keys[0].x[0] must be a single value",
        ),
        ("{keys: [{version: 1, key: k, provider: hunter 2}]}", "keys[0].provider is not the name of a provider"),
        (f"{{provider: '{HEX}'}}", "security.encryption.provider is not the name of a provider"),
    ],
)
def test_an_unusable_entry_is_named_by_its_place(tmp_path: Path, section: str, message: str) -> None:
    error = refusal(tmp_path, section)
    assert error.startswith("fluxbase.yaml: security.encryption.")
    assert message in error
    assert "hunter2" not in error
    assert HEX not in error


@pytest.mark.parametrize(
    "version", ["0", "-1", "true", "1.5", "'x'", "'1.0'", "'-2'", "010", "0x1", "2147483648", "[]"]
)
def test_a_version_must_be_a_positive_whole_number(tmp_path: Path, version: str) -> None:
    message = refusal(tmp_path, f"{{keys: [{{version: {version}, key: k}}]}}")
    assert "fluxbase.yaml: security.encryption.keys[0].version" in message


@pytest.mark.parametrize(("version", "number"), [("7", 7), ("'7'", 7), ("2147483647", 2147483647)])
def test_a_version_may_be_text(tmp_path: Path, version: str, number: int) -> None:
    assert encryption(tmp_path, f"{{keys: [{{version: {version}, key: k}}]}}").encryption.keys[0].version == number


@pytest.mark.parametrize(
    "key", ["1" * 64, "0" * 64, "12e" + "3" * 29, "1" * 32, "0x" + "a" * 30, "true", "2024-01-01", ".5"]
)
def test_a_key_that_yaml_reads_as_a_number_must_be_quoted_and_is_not_shown(tmp_path: Path, key: str) -> None:
    message = refusal(tmp_path, f"{{keys: [{{version: 1, key: {key}}}]}}")
    assert message == "fluxbase.yaml: security.encryption.keys[0].key is not text: put quotes around it"
    with pytest.raises(ConfigurationError, match=r"fluxbase\.yaml: encryption_key is not text: put quotes around it"):
        load(tmp_path, f"encryption_key: {key}\n")
    assert keys(load(tmp_path, f"encryption_key: '{key}'\n"))[0][2] == key


def test_a_version_that_stands_twice_is_refused_with_both_places(tmp_path: Path) -> None:
    message = refusal(tmp_path, "{keys: [{version: 2, key: a}, {version: 1, key: b}, {version: '2', key: c}]}")
    assert "key version 2 is configured twice" in message
    assert "fluxbase.yaml: security.encryption.keys[0].key" in message
    assert "fluxbase.yaml: security.encryption.keys[2].key" in message


def test_a_leading_zero_in_a_variables_name_does_not_change_the_version(tmp_path: Path) -> None:
    assert keys(load(tmp_path, "", {"FLUXBASE_SECRET_KEY_02": "k"}))[0][0] == 2
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, "", {"FLUXBASE_SECRET_KEY_01": "a"}, "FLUXBASE_SECRET_KEY_1=b\n")
    assert "environment: FLUXBASE_SECRET_KEY_01" in caught.value.message
    assert ".env: FLUXBASE_SECRET_KEY_1" in caught.value.message


@pytest.mark.parametrize("suffix", ["_abc", "_", "", "_0", "_-1", "_1_OLD", "_٢", "_99999999999", "_" + "9" * 5000])
def test_a_variable_without_a_version_in_its_name_is_ignored_with_a_warning(tmp_path: Path, suffix: str) -> None:
    settings = load(tmp_path, "", {f"FLUXBASE_SECRET_KEY{suffix}": "hunter2", "FLUXBASE_SECRET_KEY_1": "k"})
    assert [key[0] for key in keys(settings)] == [1]
    (warning,) = settings.warnings
    assert warning.startswith(f"environment: FLUXBASE_SECRET_KEY{suffix} is ignored")
    assert "hunter2" not in warning


def test_keys_that_are_not_used_cause_a_warning(tmp_path: Path) -> None:
    text = "security: {encryption: {keys: [{version: 1, key: a}]}}\n"
    environ = {"FLUXBASE_SECRET_KEY_3": "three", "FLUXBASE_SECRET_KEY_x": "x", "FLUXBASE_SECRET_KEYS": "unrelated"}
    kept = "security.encryption.keys is the keyring; add the key there, or remove the variable"
    assert load(tmp_path, text, environ).warnings == (
        f"environment: FLUXBASE_SECRET_KEY_3 is not used: {kept}",
        f"environment: FLUXBASE_SECRET_KEY_x is not used: {kept}",
    )


def test_a_key_that_is_also_in_the_ring_from_another_source_is_not_called_unused(tmp_path: Path) -> None:
    text = """
    security:
      encryption:
        keys:
        - {version: 1, key: "${FLUXBASE_ENCRYPTION_KEY}"}
        - {version: 2, key: "${FLUXBASE_SECRET_KEY_NEW}"}
        - {version: 3, key: three}
    """
    environ = {
        "FLUXBASE_ENCRYPTION_KEY": "one",
        "FLUXBASE_SECRET_KEY_NEW": "two",
        "FLUXBASE_SECRET_KEY_3": "three",
    }
    settings = load(tmp_path, text, environ)
    assert [key[2] for key in keys(settings)] == ["one", "two", "three"]
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("active", "environ", "expected"),
    [
        ("", {}, 3),
        ("active_key_version: 1, ", {}, 1),
        ("active_key_version: '3', ", {}, 3),
        ("active_key_version: 3, ", {"FLUXBASE_SECURITY_ENCRYPTION_ACTIVE_KEY_VERSION": "1"}, 1),
    ],
)
def test_the_effective_version_is_the_active_one_or_the_highest(
    tmp_path: Path, active: str, environ: dict[str, str], expected: int
) -> None:
    section = f"{{{active}keys: [{{version: 3, key: a}}, {{version: 1, key: b}}]}}"
    settings = encryption(tmp_path, section, environ)
    assert settings.encryption.effective_key_version == expected
    assert settings.encryption.active_key_version == (expected if active else None)
    assert EncryptionSettings().effective_key_version is None


def test_an_active_version_without_a_key_is_refused_with_its_place(tmp_path: Path) -> None:
    message = refusal(tmp_path, "{active_key_version: 4, keys: [{version: 3, key: a}, {version: 1, key: b}]}")
    assert message.startswith("fluxbase.yaml: security.encryption.active_key_version is 4,")
    assert "(configured: 1, 3)" in message
    variable = {"FLUXBASE_SECURITY_ENCRYPTION_ACTIVE_KEY_VERSION": "2", "FLUXBASE_ENCRYPTION_KEY": "k"}
    message = refusal(tmp_path, "{}", variable)
    assert message.startswith("environment: FLUXBASE_SECURITY_ENCRYPTION_ACTIVE_KEY_VERSION is 2,")


@pytest.mark.parametrize("said", ["kms_key_id: alias/k", "provider: aws_kms"])
def test_an_active_version_may_be_a_wrapped_key_of_the_database(tmp_path: Path, said: str) -> None:
    settings = encryption(tmp_path, f"{{{said}, active_key_version: 4, keys: [{{version: 3, key: a, provider: env}}]}}")
    assert settings.encryption.effective_key_version == 4
    assert [entry.version for entry in settings.encryption.keys] == [3]


@pytest.mark.parametrize("version", ["0", "true", "x", "1.5"])
def test_an_active_version_must_be_a_positive_whole_number(tmp_path: Path, version: str) -> None:
    assert "active_key_version must be a whole number" in refusal(
        tmp_path, f"{{active_key_version: {version}}}"
    ).replace(" is not text: put quotes around it", " must be a whole number")


def test_the_rotation_is_off_by_default(tmp_path: Path) -> None:
    assert load(tmp_path).encryption.key_rotation == KeyRotationSettings(
        enabled=False, schedule=None, auto_reencrypt=False, retain_old_keys=None, notification_webhook=None
    )


ROTATION = """{kms_key_id: alias/k, provider: env, key_rotation: {enabled: true, schedule: "0 3 1 * *",
  auto_reencrypt: yes, retain_old_keys: 2, notification_webhook: "https://hooks/T0ken"}}"""


def test_the_settings_of_the_rotation_are_read(tmp_path: Path) -> None:
    settings = encryption(tmp_path, ROTATION).encryption
    assert settings.kms_key_id == "alias/k"
    assert settings.key_rotation == KeyRotationSettings(
        enabled=True,
        schedule="0 3 1 * *",
        auto_reencrypt=True,
        retain_old_keys=2,
        notification_webhook=Secret("https://hooks/T0ken"),
    )
    assert "T0ken" not in repr(settings)


def test_every_setting_of_the_section_has_its_variable(tmp_path: Path) -> None:
    prefix = "FLUXBASE_SECURITY_ENCRYPTION_"
    environ = {
        prefix + "PROVIDER": "vault",
        prefix + "KMS_KEY_ID": "other",
        prefix + "KEY_ROTATION_ENABLED": "false",
        prefix + "KEY_ROTATION_SCHEDULE": "@daily",
        prefix + "KEY_ROTATION_AUTO_REENCRYPT": "0",
        prefix + "KEY_ROTATION_RETAIN_OLD_KEYS": "5",
        prefix + "KEY_ROTATION_NOTIFICATION_WEBHOOK": "w",
    }
    settings = encryption(tmp_path, ROTATION, environ).encryption
    assert (settings.provider, settings.kms_key_id) == ("vault", "other")
    assert settings.key_rotation == KeyRotationSettings(
        schedule="@daily", retain_old_keys=5, notification_webhook=Secret("w")
    )
    assert encryption(tmp_path, ROTATION, dict.fromkeys(environ, "")).encryption.kms_key_id == "alias/k"


@pytest.mark.parametrize("rotation", ["enabled: maybe", "auto_reencrypt: 2", "retain_old_keys: -1", "schedule: [a]"])
def test_an_invalid_setting_of_the_rotation_is_named_by_its_place(tmp_path: Path, rotation: str) -> None:
    name = rotation.partition(":")[0]
    message = refusal(tmp_path, f"{{key_rotation: {{{rotation}}}}}")
    assert message.startswith(f"fluxbase.yaml: security.encryption.key_rotation.{name}")
