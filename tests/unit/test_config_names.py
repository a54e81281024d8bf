"""Misspelt settings: names of the file and variables that no reader knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxbase_cli.config import Settings, load_settings
from fluxbase_cli.config.encryption import SECTIONS, read_encryption
from fluxbase_cli.config.environment import EnvFile, Environment
from fluxbase_cli.config.reader import Reader, variable_name
from fluxbase_cli.config.server import read_server
from fluxbase_cli.errors import ConfigurationError, ExitCode

PLACE = "fluxbase.yaml: security.encryption"
VARIABLE = "FLUXBASE_SECURITY_ENCRYPTION"


def load(directory: Path, section: str, environ: dict[str, str] | None = None) -> Settings:
    """Load a file that has only this section, in YAML's flow style."""
    (directory / "fluxbase.yaml").write_text(f"security:\n  encryption: {section}\n", encoding="utf-8")
    return load_settings(directory=directory, environ=environ or {}, system_directory=directory / "etc")


def refusal(directory: Path, section: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(directory, section, environ)
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value.message


@pytest.mark.parametrize(
    ("section", "written", "meant"),
    [
        ("{active_key_verson: 2}", "active_key_verson", "active_key_version"),
        ("{active_version: 2}", "active_version", "active_key_version"),
        ("{key: [{version: 1, key: k}]}", "key", "keys"),
        ("{kms-key-id: alias/k}", "kms-key-id", "kms_key_id"),
        ("{kms-keys-id: alias/k}", "kms-keys-id", "kms_key_id"),
        ("{rotation: {enabled: true}}", "rotation", "key_rotation"),
        ("{vaults: ~}", "vaults", "vault"),
        ("{key_rotation: {retain_old_key: 2}}", "key_rotation.retain_old_key", "retain_old_keys"),
        ("{key_rotation: {Retain-Old-Keys: 2}}", "key_rotation.retain-old-keys", "retain_old_keys"),
        ("{key_rotation: {retainOldKeys: 2}}", "key_rotation.retainoldkeys", "retain_old_keys"),
        ("{key_rotation: {reload_comand: [sh]}}", "key_rotation.reload_comand", "reload_command"),
        ("{key_rotation: {enable: true}}", "key_rotation.enable", "enabled"),
        ("{key_destruction: {cooling_of: 1d}}", "key_destruction.cooling_of", "cooling_off"),
        ("{key_destruction: {cooling-off: 1d}}", "key_destruction.cooling-off", "cooling_off"),
        ("{vault: {adress: x}}", "vault.adress", "address"),
        ("{vault: {auth: {roleid: x}}}", "vault.auth.roleid", "role_id"),
        ("{server: {keyrings: false}}", "server.keyrings", "keyring"),
    ],
)
def test_a_name_that_resembles_a_setting_is_refused(tmp_path: Path, section: str, written: str, meant: str) -> None:
    assert refusal(tmp_path, section) == f"{PLACE}.{written} is not a setting: did you mean {meant}?"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("key_rotation: {enabled: true}", "key_rotation"),
        ("Key_Rotation: {enabled: true}", "key_rotation"),
        ("security: {key_rotation: {enabled: true}}", "security.key_rotation"),
        ("active_key_version: 2", "active_key_version"),
        # Names that the server has too.
        ("server: {address: x}", None),
        ("keys: []", None),
        ("security: {encryption: {key_rotation: {enabled: false}}}", None),
        ("security: {provider: x}", None),
    ],
)
def test_a_setting_at_another_place_causes_a_warning(tmp_path: Path, text: str, place: str | None) -> None:
    (tmp_path / "fluxbase.yaml").write_text(f"{text}\n", encoding="utf-8")
    expected = (f"fluxbase.yaml: {place} is ignored here: it belongs to security.encryption",) if place else ()
    loaded = load_settings(directory=tmp_path, environ={}, system_directory=tmp_path / "etc")
    assert loaded.warnings == expected


@pytest.mark.parametrize(
    ("section", "written"),
    [
        ("{algorithm: aes-256-gcm}", "algorithm"),
        ("{key_rotation: {owner: team-a}}", "key_rotation.owner"),
        ("{key_destruction: {shred: true}}", "key_destruction.shred"),
        ("{vault: {tls_server_name: x}}", "vault.tls_server_name"),
        ("{vault: {auth: {audience: x}}}", "vault.auth.audience"),
        ("{server: {replicas: 3}}", "server.replicas"),
    ],
)
def test_a_name_that_resembles_nothing_causes_a_warning(tmp_path: Path, section: str, written: str) -> None:
    warning = f"{PLACE}.{written} is not a setting that fluxbase-cli knows; it is ignored"
    assert load(tmp_path, section).warnings == (warning,)


@pytest.mark.parametrize("name", ["0123456789abcdef" * 4, "Hunter2 Hunter2", "h" * 32])
def test_a_name_that_could_be_a_key_is_not_shown(tmp_path: Path, name: str) -> None:
    (warning,) = load(tmp_path, f"{{'{name}': x}}").warnings
    assert warning == f"{PLACE} has a setting with another name than those that fluxbase-cli knows; it is ignored"


@pytest.mark.parametrize(
    ("ending", "meant"),
    [
        ("ACTIVE_KEY_VERSON", "ACTIVE_KEY_VERSION"),
        ("KEY_ROTATION_RETAIN_OLD_KEY", "KEY_ROTATION_RETAIN_OLD_KEYS"),
        ("KEY_ROTATON_ENABLED", "KEY_ROTATION_ENABLED"),
        ("KEY_DESTRUCTION_COOLING_OF", "KEY_DESTRUCTION_COOLING_OFF"),
        ("VAULT_NAME_SPACE", "VAULT_NAMESPACE"),
        ("VAULT_AUTH_ROLEID", "VAULT_AUTH_ROLE_ID"),
        ("SERVER_STOP_COMAND", "SERVER_STOP_COMMAND"),
    ],
)
def test_a_variable_that_resembles_a_setting_is_refused(tmp_path: Path, ending: str, meant: str) -> None:
    expected = f"{VARIABLE}_{ending} is not a setting: did you mean {VARIABLE}_{meant}?"
    assert refusal(tmp_path, "{}", {f"{VARIABLE}_{ending}": "hunter2"}) == f"environment: {expected}"
    (tmp_path / ".env").write_text(f"{VARIABLE}_{ending}=hunter2\n", encoding="utf-8")
    assert refusal(tmp_path, "{}") == f".env: {expected}"


@pytest.mark.parametrize(
    "ending", ["ALGORITHM", "KEYS", "KEY_ROTATION", "KEY_ROTATION_MIN_DAYS", "KEY_ROTATION_", "VAULT_AUTH_AUDIENCE"]
)
def test_a_variable_that_resembles_nothing_causes_a_warning(tmp_path: Path, ending: str) -> None:
    settings = load(tmp_path, "{}", {f"{VARIABLE}_{ending}": "hunter2", f"{VARIABLE}_OTHER": ""})
    assert settings.warnings == (
        f"environment: {VARIABLE}_{ending} is not a setting that fluxbase-cli knows; it is ignored",
    )


@pytest.mark.parametrize(
    ("entry", "written", "meant"),
    [
        ("verson: 1, key: k", "verson", "version"),
        ("version: 1, kye: k, keys: k", "keys", "key"),
        ("version: 1, Keey: '{{ vault `a` }}'", "keey", "key"),
        ("version: 1, key: k, provder: vault", "provder", "provider"),
        ("version: 1, ciphertxt: c, provider: aws_kms", "ciphertxt", "ciphertext"),
        ("version: 1, ciphertext: c, kms-key-id: alias/k", "kms-key-id", "kms_key_id"),
        ("version: 1, ciphertext: c, encryption_contxt: {a: b}", "encryption_contxt", "encryption_context"),
        ("version: 1, provider: vault, key: a/b, regoin: r", "regoin", "region"),
    ],
)
def test_a_field_of_a_key_that_resembles_another_is_refused(
    tmp_path: Path, entry: str, written: str, meant: str
) -> None:
    message = refusal(tmp_path, f"{{keys: [{{{entry}}}]}}")
    assert message == f"{PLACE}.keys[0].{written} is not a setting: did you mean {meant}?"


def test_other_fields_of_a_key_and_all_of_another_provider_are_given_to_the_provider(tmp_path: Path) -> None:
    section = "{keys: [{version: 1, key: k, note: n}, {version: 2, provider: company-hsm, keys: k, Regions: r}]}"
    settings = load(tmp_path, section)
    assert [set(key.options) for key in settings.encryption.keys] == [{"note"}, {"keys", "regions"}]
    assert settings.warnings == ()


def test_what_belongs_to_the_server_is_not_checked(tmp_path: Path) -> None:
    text = "databse: {hots: h}\nsecurity: {encrypton: {keyz: 1}, jwt-secret: x}\nencryption-key: k\n"
    (tmp_path / "fluxbase.yaml").write_text(text, encoding="utf-8")
    environ = {"FLUXBASE_DATABSE_HOST": "h", "FLUXBASE_SECURITY_ENCRYPTON_KEYS": "k", "FLUXBASE_SECURITY_JWT": "x"}
    assert load_settings(directory=tmp_path, environ=environ, system_directory=tmp_path).warnings == ()


#: Each section that guides/security.md of Fluxbase 2026.2.3 to 2026.3.6 prints ("Encryption Key Rotation Design").
DOCUMENTED = [
    """
    active_key_version: 2 # Increment version number
    keys:
      - version: 1
        key: "${OLD_SECRET_KEY}" # Deprecated key for decryption
      - version: 2
        key: "${NEW_SECRET_KEY}" # New active key for encryption
""",
    """
    active_key_version: 2
    keys:
      # - version: 1  # Remove old key
      #   key: "${OLD_SECRET_KEY}"
      - version: 2
        key: "${NEW_SECRET_KEY}"
""",
    """
    key_rotation:
      enabled: true
      schedule: "0 2 1 * *" # Cron: 2AM on 1st of each month
      auto_reencrypt: true
      retain_old_keys: 2 # Keep last 2 key versions
      notification_webhook: "https://hooks.example.com/security"
""",
    """
    active_key_version: 1
""",
    """
    active_key_version: 2
    keys:
      - version: 1
        key: "{{ vault `secret/fluxbase/keys/v1` }}"
      - version: 2
        key: "{{ vault `secret/fluxbase/keys/v2` }}"
""",
    """
    provider: "aws_kms"
    kms_key_id: "alias/fluxbase-secrets"
    active_key_version: 2
""",
]


@pytest.mark.parametrize("section", DOCUMENTED)
def test_what_the_servers_documentation_prints_is_accepted(tmp_path: Path, section: str) -> None:
    settings = load(tmp_path, section, {"OLD_SECRET_KEY": "o", "NEW_SECRET_KEY": "n"})
    assert settings.warnings == ()


class _Remembering(Reader):
    """A reader that remembers which settings it was asked for."""

    def __init__(self) -> None:
        super().__init__(None, Environment({}, EnvFile()))
        self.asked: set[str] = set()

    def section(self, path: str) -> None:
        self.asked.add(path)


def test_the_names_that_are_declared_are_those_that_are_read() -> None:
    reader = _Remembering()
    read_encryption(reader, read_server(reader, Path()), home=Path(), directory=Path())

    declared = {f"{names.path}.{name}" for names in SECTIONS for name in names.settings}
    declared |= {names.path for names in SECTIONS} | {"security.encryption.keys"}
    assert {path for path in reader.asked if path.startswith("security.")} == declared


def test_every_setting_and_its_variable_are_known(tmp_path: Path) -> None:
    environ = {variable_name(f"{names.path}.{name}"): "" for names in SECTIONS for name in names.settings}
    assert len(environ) > 30
    texts = {name: "1" for name in environ if name.endswith("_COMMAND")}
    assert load(tmp_path, "{}", {**environ, **texts}).warnings == ()
