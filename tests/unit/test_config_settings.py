from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fluxbase_cli.config import KeyRotationSettings, Secret, Settings, load_settings
from fluxbase_cli.errors import ConfigurationError, ExitCode

SECRET = "s3cr3t-9f8e7d6c5b4a"
OLD, NEW = "a" * 32, "b" * 32
KEYS = "security: {encryption: {keys: %s}}"

Load = Callable[..., Settings]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    return work


@pytest.fixture
def load(directory: Path, tmp_path: Path) -> Load:
    def run(
        text: str | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        env: str | None = None,
        config: Path | None = None,
        database_url: str | None = None,
    ) -> Settings:
        if text is not None:
            (directory / "fluxbase.yaml").write_text(text, encoding="utf-8")
        if env is not None:
            (directory / ".env").write_text(env, encoding="utf-8")
        return load_settings(
            config=config,
            database_url=database_url,
            directory=directory,
            environ=environ or {},
            system_directory=tmp_path / "etc",
        )

    return run


@pytest.fixture
def refused(load: Load) -> Callable[..., str]:
    """Load what must be refused; gives the message, which is one line and holds no secret."""

    def run(*arguments: Any, **options: Any) -> str:
        with pytest.raises(ConfigurationError) as caught:
            load(*arguments, **options)
        error = caught.value
        assert error.exit_code is ExitCode.USAGE
        assert "\n" not in error.message
        assert error.__context__ is None or error.__suppress_context__
        assert SECRET not in f"{error!r} {error.message} {error.hint}"
        return error.message

    return run


def keys_of(settings_: Settings) -> dict[int, str]:
    return {key.version: key.value.reveal() for key in settings_.encryption.keys}


# Where settings come from


def test_without_anything_there_are_the_servers_defaults_and_no_keys(load: Load) -> None:
    loaded = load()
    assert loaded.config_file is None
    assert loaded.env_file is None
    assert loaded.encryption.keys == ()
    assert loaded.encryption.key_rotation == KeyRotationSettings()
    assert loaded.warnings == ()
    assert loaded.database.source == "the defaults"
    assert loaded.database.describe() == "postgres@localhost:5432/fluxbase"
    assert loaded.database.connection_parameters() == {
        "host": "localhost",
        "port": 5432,
        "user": "postgres",
        "password": "postgres",
        "dbname": "fluxbase",
        "sslmode": "disable",
    }


def test_the_first_file_in_the_servers_order_is_read(load: Load, directory: Path, tmp_path: Path) -> None:
    paths = [
        directory / "fluxbase.yaml",
        directory / "fluxbase.yml",
        directory / "config/fluxbase.yaml",
        directory / "config/fluxbase.yml",
        tmp_path / "etc/fluxbase.yaml",
        tmp_path / "etc/fluxbase.yml",
    ]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text("encryption_key: x", encoding="utf-8")
    sources = [f"{name}: encryption_key" for name in ("fluxbase.yaml", "fluxbase.yml")]
    sources += [f"config/{source}" for source in sources]
    sources += [f"{path}: encryption_key" for path in paths[4:]]
    for path, source in zip(paths, sources, strict=True):
        loaded = load()
        assert loaded.config_file == path
        assert loaded.encryption.keys[0].source == source
        path.unlink()
    assert load().config_file is None


def test_an_explicit_file_is_read_instead_and_must_exist(
    load: Load, refused: Callable[..., str], tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    assert refused("encryption_key: found", config=other) == f"{other}: there is no such file"
    other.write_text("encryption_key: given", encoding="utf-8")
    assert keys_of(load(config=other)) == {1: "given"}
    assert load(config=other).encryption.keys[0].source == f"{other}: encryption_key"
    assert keys_of(load(config=Path("../other.yaml"))) == {1: "given"}


def test_the_first_env_file_is_read(load: Load, directory: Path) -> None:
    for name in ("../.env", ".env.local", ".env"):
        (directory / name).write_text(f"FLUXBASE_ENCRYPTION_KEY='{name}'", encoding="utf-8")
        loaded = load()
        assert loaded.env_file == directory / name
        assert keys_of(loaded) == {1: name}
        assert loaded.encryption.keys[0].source == f"{name}: FLUXBASE_ENCRYPTION_KEY"


def test_a_folder_named_env_is_no_env_file(load: Load, directory: Path) -> None:
    (directory / ".env").mkdir()
    assert load().env_file is None


def test_the_environment_beats_env_beats_the_file_beats_the_default(load: Load) -> None:
    text = "database: {host: file, port: 1, user: file, ssl_mode: require}"
    env = "FLUXBASE_DATABASE_HOST=dotenv\nFLUXBASE_DATABASE_PORT=2\n"
    database = load(text, {"FLUXBASE_DATABASE_HOST": "real"}, env=env).database
    assert (database.host, database.port, database.user, database.database) == ("real", 2, "file", "fluxbase")
    assert database.ssl_mode == "require"
    assert database.source == (
        "environment: FLUXBASE_DATABASE_HOST, .env: FLUXBASE_DATABASE_PORT, fluxbase.yaml: database"
    )


def test_an_empty_variable_is_unset(load: Load) -> None:
    environ = {"FLUXBASE_DATABASE_HOST": "", "FLUXBASE_SECRET_KEY_2": "", "FLUXBASE_DATABASE_URL": ""}
    loaded = load("database: {host: file}", environ)
    assert loaded.database.host == "file"
    assert loaded.encryption.keys == ()


def test_an_empty_variable_in_the_environment_switches_env_off_as_for_the_server(load: Load) -> None:
    loaded = load("database: {host: file}", {"FLUXBASE_DATABASE_HOST": ""}, env="FLUXBASE_DATABASE_HOST=dotenv")
    assert loaded.database.host == "file"


def test_env_values_are_not_interpolated(load: Load) -> None:
    assert keys_of(load(env="FLUXBASE_ENCRYPTION_KEY=a${HOME}$b")) == {1: "a${HOME}$b"}


def test_env_without_a_value_is_unset(load: Load) -> None:
    assert load(env="FLUXBASE_ENCRYPTION_KEY\n").encryption.keys == ()


def test_the_variables_of_the_command_line_are_not_read(load: Load) -> None:
    assert load(None, {"FLUXBASE_CLI_DATABASE_URL": "postgresql://x/y"}).database.url is None


SETTINGS = [
    ("database.host", "h", lambda s: s.database.host, "h"),
    ("database.port", "6543", lambda s: s.database.port, 6543),
    ("database.user", "u", lambda s: s.database.user, "u"),
    ("database.admin_user", "a", lambda s: s.database.user, "a"),
    ("database.password", "p", lambda s: s.database.password.reveal(), "p"),
    ("database.admin_password", "ap", lambda s: s.database.password.reveal(), "ap"),
    ("database.database", "d", lambda s: s.database.database, "d"),
    ("database.ssl_mode", "verify-full", lambda s: s.database.ssl_mode, "verify-full"),
    ("encryption_key", OLD, keys_of, {1: OLD}),
    ("security.encryption.provider", "Vault", lambda s: s.encryption.provider, "vault"),
    ("security.encryption.active_key_version", "3", lambda s: s.encryption.active_key_version, 3),
    ("security.encryption.kms_key_id", "alias/x", lambda s: s.encryption.kms_key_id, "alias/x"),
    ("security.encryption.key_rotation.enabled", "yes", lambda s: s.encryption.key_rotation.enabled, True),
    ("security.encryption.key_rotation.schedule", "@yearly", lambda s: s.encryption.key_rotation.schedule, "@yearly"),
    ("security.encryption.key_rotation.auto_reencrypt", "1", lambda s: s.encryption.key_rotation.auto_reencrypt, True),
    ("security.encryption.key_rotation.retain_old_keys", "2", lambda s: s.encryption.key_rotation.retain_old_keys, 2),
    (
        "security.encryption.key_rotation.notification_webhook",
        "https://x",
        lambda s: s.encryption.key_rotation.notification_webhook,
        "https://x",
    ),
]


def nested(path: str, value: object) -> str:
    for name in reversed(path.split(".")):
        value = {name: value}
    return yaml.safe_dump(value)


@pytest.mark.parametrize(("path", "value", "read", "expected"), SETTINGS)
def test_every_setting_is_read_from_file_and_environment(
    load: Load, path: str, value: str, read: Callable[[Settings], object], expected: object
) -> None:
    variable = "FLUXBASE_" + path.upper().replace(".", "_")
    assert read(load(nested(path, value))) == expected
    assert read(load(nested(path.upper(), value))) == expected
    assert read(load(nested(path, "${THERE}"), {"THERE": value})) == expected
    assert read(load("", {variable: value})) == expected
    # A wrong value in the file is not even looked at when the variable beats it.
    assert read(load(nested(path, "${NOT_SET}"), {variable: value})) == expected


def test_yaml_numbers_and_booleans_are_taken(load: Load) -> None:
    loaded = load(
        "database: {port: 6543, password: 12345}\n"
        "security: {encryption: {active_key_version: 2, key_rotation: {enabled: true, retain_old_keys: 0}}}"
    )
    assert loaded.database.port == 6543
    assert loaded.database.password == Secret("12345")
    assert loaded.encryption.key_rotation == KeyRotationSettings(enabled=True, retain_old_keys=0)


# The database


def test_the_admin_role_and_password_fall_back_on_their_own(load: Load) -> None:
    both = "user: u, password: p"
    one = load(f"database: {{{both}, admin_user: a}}").database
    assert (one.user, one.password.reveal()) == ("a", "p")
    other = load(f"database: {{{both}, admin_password: ap}}").database
    assert (other.user, other.password.reveal()) == ("u", "ap")


def test_a_url_beats_a_url_in_the_environment_beats_the_parts(load: Load) -> None:
    text = "database: {host: file, password: '${NOT_SET}'}"
    environ = {"FLUXBASE_DATABASE_URL": "postgresql://env/e", "FLUXBASE_DATABASE_HOST": "part"}
    given_ = load(text, environ, database_url=f"postgresql://u:{SECRET}@arg/a").database
    assert given_.connection_parameters() == {"conninfo": f"postgresql://u:{SECRET}@arg/a"}
    assert (given_.describe(), given_.source) == ("u@arg:5432/a", "--database-url")
    from_environment = load(text, environ).database
    assert from_environment.connection_parameters() == {"conninfo": "postgresql://env/e"}
    assert from_environment.source == "environment: FLUXBASE_DATABASE_URL"
    assert load("", env="FLUXBASE_DATABASE_URL=postgresql://x/y").database.source == ".env: FLUXBASE_DATABASE_URL"


def test_an_address_that_is_in_doubt_is_told_by_its_place(load: Load) -> None:
    database = load(None, database_url=f"postgresql://u:a/{SECRET}@h/d").database
    assert database.describe() == "the database of --database-url"


def test_a_url_of_another_kind_is_refused(refused: Callable[..., str]) -> None:
    message = "is not the address of a PostgreSQL database"
    assert refused(database_url=f"mysql://u:{SECRET}@h/d") == f"--database-url: {message}"
    assert refused(None, {"FLUXBASE_DATABASE_URL": SECRET}) == f"environment: FLUXBASE_DATABASE_URL: {message}"


def test_an_empty_password_is_not_handed_over(load: Load) -> None:
    database = load(None, {}).database
    assert "password" in database.connection_parameters()
    object.__setattr__(database, "password", Secret(""))
    assert "password" not in database.connection_parameters()


@pytest.mark.parametrize("port", ["0", "65536", "-1", "x", "5432.0", "true", "'1e3'", "'٣'", f"'{SECRET}'"])
def test_a_port_out_of_range_is_refused_with_its_place(refused: Callable[..., str], port: str) -> None:
    message = refused(f"database: {{port: {port}}}")
    assert message.startswith("fluxbase.yaml: database.port: ")
    assert message.endswith((": must be a whole number from 1 to 65535", ": is not a text"))


def test_an_unknown_ssl_mode_is_refused_with_its_place(refused: Callable[..., str]) -> None:
    message = refused("database: {ssl_mode: '${MODE}'}", {"MODE": SECRET})
    assert message == (
        "fluxbase.yaml: database.ssl_mode (${MODE}): "
        "must be one of disable, allow, prefer, require, verify-ca, verify-full"
    )


# ${VAR}


def test_variables_are_expanded_from_the_environment_and_then_from_env(load: Load) -> None:
    loaded = load("database: {host: '${A}', user: '${B}'}", {"A": "real"}, env="A=dotenv\nB=dotenv")
    assert (loaded.database.host, loaded.database.user) == ("real", "dotenv")


@pytest.mark.parametrize("environ", [{}, {"MISSING": ""}])
def test_an_unset_variable_is_refused_with_file_path_and_name(
    refused: Callable[..., str], environ: dict[str, str]
) -> None:
    text = KEYS % f'[{{version: 1, key: "{SECRET}${{MISSING}}"}}]'
    assert refused(text, environ) == (
        "fluxbase.yaml: security.encryption.keys[0].key: the variable MISSING is not set, or empty"
    )


def test_an_unset_variable_elsewhere_stops_nobody(load: Load) -> None:
    assert load("email: {password: '${MISSING}'}\nencryption_key: k").encryption.keys


# The keys


def test_keys_in_the_file_are_sorted_and_have_their_places(load: Load) -> None:
    text = KEYS % '[{version: "2", key: plain}, {Version: 1, KEY: "${OLD}"}]'
    second, first = reversed(load(text, {"OLD": OLD}).encryption.keys)
    assert (first.version, first.value, first.provider) == (1, Secret(OLD), "env")
    assert first.source == "fluxbase.yaml: security.encryption.keys[1].key (${OLD})"
    assert second.source == "fluxbase.yaml: security.encryption.keys[0].key"


def test_variables_are_the_keyring_when_the_file_has_none(load: Load) -> None:
    loaded = load(
        "security: {encryption: {keys: []}}",
        {"FLUXBASE_SECRET_KEY_10": "ten"},
        env="FLUXBASE_SECRET_KEY_2=two\nFLUXBASE_SECRET_KEY_10=other",
    )
    assert [(key.version, key.value.reveal(), key.source) for key in loaded.encryption.keys] == [
        (2, "two", ".env: FLUXBASE_SECRET_KEY_2"),
        (10, "ten", "environment: FLUXBASE_SECRET_KEY_10"),
    ]
    assert loaded.warnings == ()


def test_the_single_key_is_version_1(load: Load) -> None:
    assert load("encryption_key: k").encryption.keys[0].source == "fluxbase.yaml: encryption_key"
    loaded = load("encryption_key: k", {"FLUXBASE_ENCRYPTION_KEY": OLD})
    assert keys_of(loaded) == {1: OLD}
    assert loaded.encryption.keys[0].source == "environment: FLUXBASE_ENCRYPTION_KEY"


def test_keys_that_are_there_but_unused_are_told(load: Load) -> None:
    environ = {"FLUXBASE_SECRET_KEY_1": OLD, "FLUXBASE_ENCRYPTION_KEY": NEW}
    text = "encryption_key: k\n" + KEYS % "[{version: 1, key: x}]"
    loaded = load(text, environ)
    assert keys_of(loaded) == {1: "x"}
    because = "is not used, since the keys are taken from fluxbase.yaml: security.encryption.keys"
    assert loaded.warnings == (
        f"environment: FLUXBASE_SECRET_KEY_1: {because}",
        f"environment: FLUXBASE_ENCRYPTION_KEY: {because}",
        f"fluxbase.yaml: encryption_key: {because}",
    )
    loaded = load("encryption_key: k", environ)
    assert keys_of(loaded) == {1: OLD}
    assert len(loaded.warnings) == 2


def test_variables_that_the_file_refers_to_are_not_called_unused(load: Load) -> None:
    environ = {"FLUXBASE_SECRET_KEY_1": OLD, "FLUXBASE_ENCRYPTION_KEY": NEW}
    text = KEYS % ('[{version: 1, key: "${FLUXBASE_SECRET_KEY_1}"}, {version: 2, key: "${FLUXBASE_ENCRYPTION_KEY}"}]')
    assert load(text, environ).warnings == ()


def test_a_variable_whose_name_ends_in_no_number_is_told(load: Load) -> None:
    loaded = load(None, {"FLUXBASE_SECRET_KEY_FILE": SECRET, "FLUXBASE_SECRET_KEY_1": OLD})
    assert keys_of(loaded) == {1: OLD}
    assert loaded.warnings == (
        "environment: FLUXBASE_SECRET_KEY_FILE: is not used, since its name does not end with a version number",
    )


@pytest.mark.parametrize("suffix", ["0", "00", "99999999999"])
def test_a_variable_with_an_impossible_version_is_refused(refused: Callable[..., str], suffix: str) -> None:
    message = refused(None, {f"FLUXBASE_SECRET_KEY_{suffix}": SECRET})
    assert message.startswith(f"environment: FLUXBASE_SECRET_KEY_{suffix}: the version in the name: must be")


def test_a_version_that_stands_twice_is_refused_with_both_places(refused: Callable[..., str]) -> None:
    assert refused(None, {"FLUXBASE_SECRET_KEY_1": SECRET}, env=f"FLUXBASE_SECRET_KEY_01={SECRET}") == (
        "key version 1 is configured twice: .env: FLUXBASE_SECRET_KEY_01 and environment: FLUXBASE_SECRET_KEY_1"
    )
    text = KEYS % f"[{{version: 1, key: {SECRET}}}, {{version: 1, key: '${{V}}'}}]"
    assert refused(text, {"V": SECRET}) == (
        "key version 1 is configured twice: fluxbase.yaml: security.encryption.keys[0].key"
        " and fluxbase.yaml: security.encryption.keys[1].key (${V})"
    )


@pytest.mark.parametrize("version", ["0", "-1", "true", "1.0", "1.5", "'x'", "[]", "'1.0'", "99999999999", "'-1'"])
def test_an_impossible_version_is_refused_with_its_place(refused: Callable[..., str], version: str) -> None:
    message = refused(KEYS % f"[{{version: {version}, key: {SECRET}}}]")
    assert message.startswith("fluxbase.yaml: security.encryption.keys[0].version: must be a whole number from 1")


def test_a_missing_version_is_refused_with_its_place(refused: Callable[..., str]) -> None:
    assert refused(KEYS % f"[{{key: {SECRET}}}]") == "fluxbase.yaml: security.encryption.keys[0].version: is missing"


UNQUOTED = ["1" * 64, "12e34", "1.5", "0x1f", "true", "[a]", "{a: b}", "!!binary aGk="]


@pytest.mark.parametrize("value", UNQUOTED)
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("security.encryption.keys[0].key", KEYS % "[{version: 1, key: %s}]"),
        ("security.encryption.keys[0].ciphertext", KEYS % "[{version: 1, ciphertext: %s}]"),
        ("encryption_key", "encryption_key: %s"),
    ],
)
def test_a_key_that_yaml_takes_for_something_else_is_refused_and_not_repeated(
    load: Load, refused: Callable[..., str], path: str, text: str, value: str
) -> None:
    if value == "12e34":
        value = "1.2e+34"  # what YAML 1.1 takes for a number; 12e34 is a text for it
    assert refused(text % value) == f"fluxbase.yaml: {path}: is not a text"
    with pytest.raises(ConfigurationError) as caught:
        load(text % value)
    assert "Quote it" in str(caught.value.hint)


@pytest.mark.parametrize("entry", ["{version: 1}", "{version: 1, key: }", "{version: 1, key: '', ciphertext: ''}"])
def test_an_entry_without_a_key_is_refused(refused: Callable[..., str], entry: str) -> None:
    assert refused(KEYS % f"[{entry}]") == (
        "fluxbase.yaml: security.encryption.keys[0]: has neither `key:` nor `ciphertext:`"
    )


def test_an_entry_with_key_and_ciphertext_is_refused(refused: Callable[..., str]) -> None:
    assert "has both" in refused(KEYS % f"[{{version: 1, key: {SECRET}, ciphertext: {SECRET}}}]")


@pytest.mark.parametrize(("keys", "what"), [(SECRET, "must be a list"), ("{a: b}", "must be a list")])
def test_keys_that_are_no_list_are_refused(refused: Callable[..., str], keys: str, what: str) -> None:
    assert what in refused(KEYS % keys)


def test_an_entry_that_is_no_mapping_is_refused(refused: Callable[..., str]) -> None:
    assert refused(KEYS % f"[{SECRET}]").startswith("fluxbase.yaml: security.encryption.keys[0]: must be a mapping")


VAULT = "{{ vault `secret/fluxbase/keys/v2` }}"


@pytest.mark.parametrize(
    ("entry", "default", "provider"),
    [
        ({"key": "k"}, None, "env"),
        ({"key": "k"}, "aws_kms", "aws_kms"),
        ({"key": VAULT}, None, "vault"),
        ({"key": VAULT}, "aws_kms", "vault"),
        ({"key": "{{vault `x`}}"}, None, "vault"),
        ({"key": "{{ vaulted }}"}, None, "env"),
        ({"ciphertext": "c"}, None, "aws_kms"),
        ({"ciphertext": "c"}, "vault", "aws_kms"),
        ({"key": VAULT, "provider": "Other"}, "aws_kms", "other"),
    ],
)
def test_the_provider_is_the_one_said_or_follows_from_the_form(
    load: Load, entry: dict[str, str], default: str | None, provider: str
) -> None:
    encryption = {"provider": default, "keys": [{"version": 1, **entry}]}
    key = load(yaml.safe_dump({"security": {"encryption": encryption}})).encryption.keys[0]
    assert key.provider == provider
    assert key.value == Secret(entry.get("key") or entry["ciphertext"])


def test_the_provider_of_keys_in_variables_follows_from_the_form_too(load: Load) -> None:
    assert load(None, {"FLUXBASE_SECRET_KEY_1": VAULT}).encryption.keys[0].provider == "vault"
    assert load(None, {"FLUXBASE_ENCRYPTION_KEY": VAULT}).encryption.keys[0].provider == "vault"


def test_other_fields_of_an_entry_are_options_for_the_provider(load: Load) -> None:
    text = KEYS % f"[{{version: 1, key: k, Region: eu, retries: 3, token: {SECRET}, path: 'a/${{V}}', none: }}]"
    options = load(text, {"V": "x"}).encryption.keys[0].options
    assert options == {"region": "eu", "retries": "3", "token": Secret(SECRET), "path": Secret("a/x")}
    assert SECRET not in repr(options)


def test_an_option_that_is_no_text_is_refused(refused: Callable[..., str]) -> None:
    message = refused(KEYS % f"[{{version: 1, key: k, extra: [{SECRET}]}}]")
    assert message == "fluxbase.yaml: security.encryption.keys[0].extra: is not a text"


def test_an_active_version_that_is_not_there_is_refused_with_its_place(load: Load, refused: Callable[..., str]) -> None:
    text = "encryption_key: k\nsecurity: {encryption: {active_key_version: 2}}"
    assert refused(text) == (
        "fluxbase.yaml: security.encryption.active_key_version: there is no key of version 2 (configured: 1)"
    )
    assert refused("encryption_key: k", {"FLUXBASE_SECURITY_ENCRYPTION_ACTIVE_KEY_VERSION": "3"}).startswith(
        "environment: FLUXBASE_SECURITY_ENCRYPTION_ACTIVE_KEY_VERSION: "
    )
    assert load("security: {encryption: {active_key_version: 2}}").encryption.active_key_version == 2


@pytest.mark.parametrize("value", ["maybe", "on", "2"])
def test_what_is_neither_true_nor_false_is_refused(refused: Callable[..., str], value: str) -> None:
    name = "FLUXBASE_SECURITY_ENCRYPTION_KEY_ROTATION_ENABLED"
    assert refused(None, {name: value}) == f"environment: {name}: must be one of true, 1, yes, false, 0, no"


# Files that can't be used


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"a: b\nencryption_key: {{{SECRET}", "line 2, column "),
        (f"encryption_key: '{SECRET}\n", "line 2, column 1"),
        (f"a: 1\nb: @{SECRET}\n", "line 2, column 4"),
        (f"a: *{SECRET}", "line 1, column 4"),
        (f"a: !{SECRET} b", "line 1, column 4"),
        (f"a: 1\nb: {SECRET}\x07", f"line 2, column {4 + len(SECRET)}"),
        (f"key: {VAULT}", "line 1, column "),
        (f"{SECRET}: 1\n{SECRET}: 2", "line 2, column 1"),
        ("--- a\n--- b", "line 2, column 1"),
    ],
)
def test_malformed_yaml_is_told_by_line_and_column_only(refused: Callable[..., str], text: str, place: str) -> None:
    message = refused(text)
    assert message.startswith(f"fluxbase.yaml: {place}")
    assert message.endswith(": is not valid YAML, or a name stands there twice")


@pytest.mark.parametrize("text", ["a: !!int x", "[" * 5000, "a: !!float x"])
def test_what_breaks_the_yaml_library_is_refused_too(refused: Callable[..., str], text: str) -> None:
    assert refused(text) == "fluxbase.yaml: is not valid YAML, or a name stands there twice"


def test_odd_values_elsewhere_stop_nobody(load: Load) -> None:
    odd = f"when: 2024-99-99\nbig: {'9' * 5000}\nself: &self [*self]\n1: x\nencryption_key: k\n"
    assert load(odd).encryption.keys


def test_merged_names_are_not_names_given_twice(load: Load) -> None:
    text = "base: {deep: {deeper: &b {<<: &a {host: a, port: 1}, host: b}}}\ndatabase: {<<: *b, host: c}\n"
    assert load(text).database.describe() == "postgres@c:1/fluxbase"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"- {SECRET}", "fluxbase.yaml: the file must be a mapping of settings"),
        (SECRET, "fluxbase.yaml: the file must be a mapping of settings"),
        (f"database: {SECRET}", "fluxbase.yaml: database: must be a mapping of settings"),
        (f"security: {{encryption: [{SECRET}]}}", "fluxbase.yaml: security.encryption: must be a mapping of settings"),
    ],
)
def test_what_is_no_mapping_is_refused(refused: Callable[..., str], text: str, message: str) -> None:
    assert refused(text) == message


@pytest.mark.parametrize(
    ("text", "place", "shown"),
    [
        ("Encryption_key: a\nencryption_key: b", "fluxbase.yaml", "'encryption_key'"),
        ("database: {Host: a, host: b}", "fluxbase.yaml: database", "'host'"),
        ("security: {encryption: {keys: [{KEY: a, key: b}]}}", "fluxbase.yaml: security.encryption.keys[0]", "'key'"),
        (f"{SECRET}: a\n{SECRET.upper()}: b", "fluxbase.yaml", "a setting"),
    ],
)
def test_names_that_differ_only_in_case_are_refused(
    refused: Callable[..., str], text: str, place: str, shown: str
) -> None:
    assert refused(text) == f"{place}: {shown} stands there twice, in upper and lower case"


@pytest.mark.parametrize("name", ["fluxbase.yaml", ".env"])
def test_a_file_that_is_not_utf_8_is_refused(refused: Callable[..., str], directory: Path, name: str) -> None:
    (directory / name).write_bytes(f"A={SECRET}\xff".encode("latin-1"))
    assert refused() == f"{name}: the file is not UTF-8"


def test_a_file_that_can_not_be_read_is_refused(refused: Callable[..., str], directory: Path) -> None:
    assert refused(config=directory).startswith(f"{directory}: can't be read: ")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(refused: Callable[..., str], directory: Path) -> None:
    (directory / "fluxbase.yaml").touch(0o000)
    assert refused() == "fluxbase.yaml: can't be read: Permission denied"


def test_a_byte_order_mark_is_no_part_of_the_file(load: Load, directory: Path) -> None:
    (directory / "fluxbase.yaml").write_bytes(b"\xef\xbb\xbfencryption_key: k")
    assert keys_of(load()) == {1: "k"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "security:\ndatabase:\n"])
def test_an_empty_file_is_a_file_without_settings(load: Load, directory: Path, text: str) -> None:
    assert load(text).config_file == directory / "fluxbase.yaml"


# Secrets


def test_no_secret_shows_in_any_form_of_the_settings(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    text = yaml.safe_dump(
        {
            "encryption_key": SECRET,
            "database": {"password": SECRET, "admin_password": "${P}"},
            "security": {
                "encryption": {
                    "keys": [
                        {"version": 1, "key": SECRET, "auth_token": SECRET},
                        {"version": 2, "key": "${P}", "x": "${P}"},
                    ],
                    "key_rotation": {"notification_webhook": f"https://hook/{SECRET}"},
                }
            },
        }
    )
    environ = {"P": SECRET, "FLUXBASE_SECRET_KEY_9": SECRET, "FLUXBASE_ENCRYPTION_KEY": SECRET}
    url = f"postgresql://u:{SECRET}@h/d"
    for loaded in (load(text, environ), load(text, environ, database_url=url), load(None, {**environ, "X": url})):
        shown = f"{loaded!r} {loaded} {loaded.warnings} {loaded.database.describe()} {loaded.encryption.keys}"
        assert SECRET not in shown
        assert "***" in shown
    assert SECRET not in caplog.text


leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.just(SECRET) | st.just("${V}") | st.text(max_size=5)
names = st.sampled_from(["version", "key", "Key", "ciphertext", "provider", "extra", "token"])
entries = st.lists(st.dictionaries(names, leaf, max_size=4) | leaf, max_size=3) | leaf
trees = st.fixed_dictionaries(
    {},
    optional={
        "encryption_key": leaf | st.lists(leaf),
        "database": leaf | st.dictionaries(st.sampled_from(["host", "port", "PORT", "password", "ssl_mode"]), leaf),
        "security": leaf
        | st.fixed_dictionaries(
            {
                "encryption": leaf
                | st.fixed_dictionaries({"keys": entries, "active_key_version": leaf, "key_rotation": leaf})
            }
        ),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tree=trees, variable=st.sampled_from(["", SECRET]))
def test_whatever_the_file_holds_is_loaded_or_refused_in_one_line_without_a_secret(
    load: Load, tree: dict[str, object], variable: str
) -> None:
    outcome: Settings | ConfigurationError
    try:
        outcome = load(yaml.safe_dump(tree), {"V": variable})
    except ConfigurationError as error:
        outcome = error
    if isinstance(outcome, ConfigurationError):
        assert outcome.message.startswith(("fluxbase.yaml: ", "key version "))
        assert "\n" not in outcome.message
        assert SECRET not in f"{outcome.message} {outcome.hint}"
    else:
        encryption = outcome.encryption
        versions = [key.version for key in encryption.keys]
        assert versions == sorted(set(versions))
        assert not versions or encryption.active_key_version in (None, *versions)
        assert all(SECRET not in repr(key) for key in encryption.keys)


def test_importing_the_configuration_imports_no_parser() -> None:
    code = "import fluxbase_cli.config, sys; print({'yaml', 'dotenv', 'psycopg'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
