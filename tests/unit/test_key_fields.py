"""The fields `key_file` and `key_command` of an entry, and the variables `FLUXBASE_SECRET_KEY_<version>_FILE`."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxbase_cli.config import EncryptionSettings, Secret, Settings, UnsetKeyError, load_settings
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.keys.copies import files_with_key
from tests.fixtures.command import OLD_KEY

_PLACE = "fluxbase.yaml: security.encryption.keys[0]"


def load(directory: Path, entry: str, environ: dict[str, str] | None = None, section: str = "") -> Settings:
    """Read a file with one entry, in YAML's flow style."""
    text = f"security:\n  encryption: {{{section}keys: [{{version: 1, {entry}}}]}}\n" if entry else ""
    (directory / "fluxbase.yaml").write_text(text, encoding="utf-8")
    return load_settings(directory=directory, environ=environ or {}, system_directory=directory / "etc")


def file_of(settings: Settings, index: int = 0) -> tuple[str, str, str]:
    entry = settings.encryption.keys[index]
    option = entry.options["key_file"]
    assert isinstance(option, Secret)
    assert not entry.value
    return entry.provider, option.reveal(), entry.source


@pytest.mark.parametrize("section", ["", "provider: vault, ", "provider: env, ", "provider: file, "])
def test_a_path_is_meant_from_the_folder_of_the_file_that_names_it(tmp_path: Path, section: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "fluxbase.yaml").write_text("security: {encryption: {keys: [{version: 1, key_file: k}]}}\n")
    elsewhere = load_settings(directory=tmp_path, environ={}, system_directory=tmp_path / "etc")
    assert file_of(elsewhere)[1] == str(tmp_path / "etc" / "k")

    place = f"{_PLACE}.key_file"
    assert file_of(load(tmp_path, "key_file: keys/v1", section=section)) == ("file", f"{tmp_path}/keys/v1", place)
    settings = load(tmp_path, 'key_file: "${CREDENTIALS_DIRECTORY}/v1"', {"CREDENTIALS_DIRECTORY": "/run/c"}, section)
    assert file_of(settings) == ("file", "/run/c/v1", f"{place} (${{CREDENTIALS_DIRECTORY}})")


def test_a_variable_may_name_the_file_of_a_key(tmp_path: Path) -> None:
    environ = {"FLUXBASE_SECRET_KEY_1": "text", "FLUXBASE_SECRET_KEY_2_FILE": "/run/secrets/v2"}
    settings = load(tmp_path, "", environ | {"FLUXBASE_SECRET_KEY_3_FILE": "v3", "FLUXBASE_SECRET_KEY_4_FILE": ""})
    assert [entry.version for entry in settings.encryption.keys] == [1, 2, 3]
    assert file_of(settings, 1) == ("file", "/run/secrets/v2", "environment: FLUXBASE_SECRET_KEY_2_FILE")
    assert file_of(settings, 2)[1] == f"{tmp_path}/v3"
    assert settings.warnings == ()
    (named,) = load(tmp_path, "", {"FLUXBASE_SECRET_KEY_x_FILE": "v3"}).warnings
    assert "its name does not end in a version" in named


def test_a_variable_beside_the_keys_of_the_file_is_told_unless_it_names_the_same_file(tmp_path: Path) -> None:
    entry = f"key_file: {tmp_path}/v1"
    assert load(tmp_path, entry, {"FLUXBASE_SECRET_KEY_1_FILE": f"{tmp_path}/v1"}).warnings == ()
    (told,) = load(tmp_path, entry, {"FLUXBASE_SECRET_KEY_2_FILE": "/run/v2"}).warnings
    assert (
        told == "environment: FLUXBASE_SECRET_KEY_2_FILE is not used: security.encryption.keys is the keyring; "
        "add the key there, or remove the variable"
    )


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("key: k, key_file: f", f"{_PLACE} has two sources of one key: key and key_file"),
        ("key_file: f, key_command: [c]", f"{_PLACE} has two sources of one key: key_file and key_command"),
        ("key_command: [c], ciphertext: x", f"{_PLACE} has two sources of one key: key_command and ciphertext"),
        ("key: k, ciphertext: x", f"{_PLACE} has two sources of one key: key and ciphertext"),
        ("key_file: f, provider: vault", f"{_PLACE}.key_file is for the provider file, and the entry says"),
        ("key_command: [c], provider: file", f"{_PLACE}.key_command is for the provider command, and the entry says"),
        ("provider: file", f"{_PLACE} has no key_file, which the provider file needs"),
        ("provider: command, key: k", f"{_PLACE}.key has no key_command, which the provider command needs"),
        ("key_fil: f", f"{_PLACE}.key_fil is not a setting: did you mean key_file?"),
        ("key_file: ''", f"{_PLACE}.key_file names no file"),
        ("key_file: [f]", f"{_PLACE}.key_file must be a single value"),
        ("key_file: 0123", f"{_PLACE}.key_file is not text: put quotes around it"),
        ("key_command: op read x", f"{_PLACE}.key_command must be a list of words"),
        ("key_command: []", f"{_PLACE}.key_command names no program"),
        ("key_command: ['', x]", f"{_PLACE}.key_command begins with an empty word"),
        ("key_command: [[op], x]", f"{_PLACE}.key_command[0] must be a single value"),
        ("key_command: [op, 12]", f"{_PLACE}.key_command[1] is not text: put quotes around it"),
    ],
)
def test_an_entry_has_one_source(tmp_path: Path, entry: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, entry)
    assert caught.value.message.startswith(message)
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("field", ["key_file", "key_command", "ciphertext"])
@pytest.mark.parametrize("value", ["{a: b}", "[a, b]", "a"])
def test_a_provider_of_another_package_may_have_fields_of_these_names_in_any_form(
    tmp_path: Path, field: str, value: str
) -> None:
    (key,) = load(tmp_path, f"provider: other, {field}: {value}", {"FLUXBASE_SECRET_KEY_9": "x"}).encryption.keys
    assert (key.provider, list(key.options)) == ("other", [field])


def test_a_number_in_quotation_marks_is_a_word_of_a_command(tmp_path: Path) -> None:
    (key,) = load(tmp_path, "key_command: [op, '12']").encryption.keys
    assert key.options == {"key_command": (Secret("op"), Secret("12"))}


def test_a_variable_and_its_file_are_two_sources_of_one_version(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match="key version 2 is configured twice: environment: FLUXBASE_SECRET_KEY_2, "
    ):
        load(tmp_path, "", {"FLUXBASE_SECRET_KEY_2": "text", "FLUXBASE_SECRET_KEY_2_FILE": "v2"})


@pytest.mark.parametrize("key", [OLD_KEY.hex(), "Dx4tPEtaaXiHlqW0w9Lh8AARIjNEVWZ3iJmqu8zd7v8=", "abc-" * 8])
@pytest.mark.parametrize("entry", ["key_file: '{}'", "key_command: ['{}']"])
def test_a_key_in_the_wrong_place_is_not_shown(tmp_path: Path, entry: str, key: str) -> None:
    with pytest.raises(ConfigurationError, match="may be a key itself, and no path") as caught:
        load(tmp_path, entry.format(key))
    assert key not in f"{caught.value.message} {caught.value.hint}"
    if "/" not in key:
        assert load(tmp_path, entry.format(f"./{key}")).encryption.keys


def test_an_unset_variable_in_the_entry_of_a_destroyed_key_is_no_error(tmp_path: Path) -> None:
    for entry in ('key_file: "${GONE}/v1"', 'key_command: [cat, "${GONE}"]'):
        with pytest.raises(UnsetKeyError, match=r"refers to \$\{GONE\}"):
            load(tmp_path, entry)
        settings = load_settings(directory=tmp_path, environ={}, destroyed=frozenset({1}))
        assert settings.encryption.keys == ()
        assert "key version 1 was destroyed" in settings.warnings[0]


def test_a_provider_of_another_package_keeps_its_fields(tmp_path: Path) -> None:
    for entry, section in (("provider: acme, key: k, key_file: f", ""), ("key: k, key_file: f", "provider: acme, ")):
        (key,) = load(tmp_path, f"{entry}, list: [a, b]", section=section).encryption.keys
        assert (key.provider, key.value) == ("acme", Secret("k"))
        assert key.options == {"key_file": Secret("f"), "list": (Secret("a"), Secret("b"))}


def test_the_paths_and_words_are_not_in_the_repr(tmp_path: Path) -> None:
    settings = load(tmp_path, "key_command: [op, marker]").encryption
    assert isinstance(settings, EncryptionSettings)
    assert "marker" not in repr(settings)


def test_a_copy_of_a_key_file_is_found_and_the_file_itself_is_told_elsewhere(tmp_path: Path) -> None:
    for name in ("v1", "v1~", "v2", "unrelated"):
        (tmp_path / name).write_text(OLD_KEY.hex())
    settings = load(tmp_path, "key_file: v1")
    assert files_with_key(settings, OLD_KEY) == (tmp_path / "v1~",)
    (tmp_path / "v1").unlink()
    assert files_with_key(settings, OLD_KEY) == (tmp_path / "v1~",)
