"""Where keys and the database come from, seen from outside, and each way in which they can be wrong."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fluxbase_cli.seal import fingerprint
from tests.fixtures.command import NEW_KEY, OLD_KEY, Command, Rotation

_THIRD_KEY = bytes(range(32))
_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")
_FILE = """\
security:
  encryption:
    active_key_version: 2
    keys:
      - version: 1
        key: "${THE_OLD_KEY}"
      - version: 2
        key: "${THE_NEW_KEY}"
"""


def _fingerprints(command: Command, *arguments: str, **environment: str) -> dict[int, str]:
    outcome = command.having(**environment)("keys", "list", "-o", "json", *arguments)
    assert outcome.code == 0, outcome.stderr
    return {key["version"]: key["fingerprint"] for key in outcome.json["keys"]}


# --- keys -------------------------------------------------------------------------------------------------------------


def test_keys_are_in_fluxbase_yaml_and_their_values_in_the_environment(command: Command) -> None:
    command.write("fluxbase.yaml", _FILE)

    found = _fingerprints(command, THE_OLD_KEY=OLD_KEY.hex(), THE_NEW_KEY=NEW_KEY.hex())

    assert found == {1: fingerprint(OLD_KEY), 2: fingerprint(NEW_KEY)}


def test_an_env_file_sets_variables_and_the_real_environment_wins(command: Command) -> None:
    command.write("fluxbase.yaml", _FILE)
    command.write(".env", f"THE_OLD_KEY={OLD_KEY.hex()}\nTHE_NEW_KEY={_THIRD_KEY.hex()}\n")

    found = _fingerprints(command, THE_NEW_KEY=NEW_KEY.hex())

    assert found == {1: fingerprint(OLD_KEY), 2: fingerprint(NEW_KEY)}


def test_a_config_option_names_another_file(command: Command) -> None:
    command.write("fluxbase.yaml", "this: [is not read")
    command.write("other.yaml", _FILE)

    found = _fingerprints(command, "--config", "other.yaml", THE_OLD_KEY=OLD_KEY.hex(), THE_NEW_KEY=NEW_KEY.hex())

    assert found == {1: fingerprint(OLD_KEY), 2: fingerprint(NEW_KEY)}


def test_without_keys_in_the_file_the_numbered_variables_are_the_keyring(command: Command) -> None:
    command.write("fluxbase.yaml", f"encryption_key: {'x' * 32}\n")

    found = _fingerprints(command, FLUXBASE_SECRET_KEY_3=OLD_KEY.hex(), FLUXBASE_SECRET_KEY_7=NEW_KEY.hex())

    # The server's own key is always one of them.
    assert found == {1: fingerprint(b"x" * 32), 3: fingerprint(OLD_KEY), 7: fingerprint(NEW_KEY)}


def test_keys_in_the_file_win_over_numbered_variables(command: Command) -> None:
    command.write("fluxbase.yaml", _FILE)

    outcome = command(
        "keys",
        "list",
        "-o",
        "json",
        THE_OLD_KEY=OLD_KEY.hex(),
        THE_NEW_KEY=NEW_KEY.hex(),
        FLUXBASE_SECRET_KEY_3=_THIRD_KEY.hex(),
    )

    assert [key["version"] for key in outcome.json["keys"]] == [1, 2]
    assert "FLUXBASE_SECRET_KEY_3" in outcome.stderr


def test_the_servers_single_key_is_version_1(command: Command) -> None:
    in_file = "a-key-in-the-file-of-32-bytes-ab"
    in_variable = "a-key-in-variable-of-32-bytes-ab"
    command.write("fluxbase.yaml", f"encryption_key: {in_file}\n")

    assert _fingerprints(command) == {1: fingerprint(in_file.encode())}
    assert _fingerprints(command, FLUXBASE_ENCRYPTION_KEY=in_variable) == {1: fingerprint(in_variable.encode())}


def test_a_sample_key_gives_a_warning(command: Command) -> None:
    outcome = command("keys", "list", FLUXBASE_SECRET_KEY_1="your-32-character-encryption-key")

    assert outcome.code == 0
    assert "sample key" in outcome.stderr
    assert "your-32-character" not in outcome.all


def test_a_misspelt_setting_is_refused_and_an_unknown_one_is_warned_of(rotation: Rotation) -> None:
    rotation.seed(10)
    command = rotation.command

    command.write("fluxbase.yaml", "security: {encryption: {key_rotation: {retain_old_key: 2}}}\n")
    misspelt = command("config", "check")
    assert misspelt.code == 2
    assert "key_rotation.retain_old_key is not a setting: did you mean retain_old_keys?" in misspelt.stderr
    assert "Ready" not in misspelt.all

    command.write("fluxbase.yaml", "security: {encryption: {key_rotation: {owner: team-a}}}\n")
    unknown = command("config", "check")
    assert unknown.code == 0, unknown.all
    assert "key_rotation.owner is not a setting that fluxbase-cli knows; it is ignored" in unknown.all


# --- the database -----------------------------------------------------------------------------------------------------


def _database_of(command: Command, *arguments: str, **environment: str) -> str:
    outcome = command.having(**environment)("config", "check", "-o", "json", *arguments)
    return str(outcome.json["database"])


def test_where_the_database_is_taken_from(command: Command, tmp_path: Path) -> None:
    """All addresses are closed ports: the message says which one was tried."""
    command = command.having(FLUXBASE_SECRET_KEY_1=OLD_KEY.hex())
    assert _database_of(command, FLUXBASE_DATABASE_PORT="1") == "postgres@localhost:1/fluxbase"

    command.write(
        "fluxbase.yaml", "database: {host: 127.0.0.1, port: 1, user: u, admin_user: in_file, database: in_file}\n"
    )
    assert _database_of(command) == "in_file@127.0.0.1:1/in_file"

    command.write(".env", "FLUXBASE_DATABASE_DATABASE=in_env_file\nFLUXBASE_DATABASE_ADMIN_USER=in_env_file\n")
    assert _database_of(command) == "in_env_file@127.0.0.1:1/in_env_file"
    assert (
        _database_of(command, FLUXBASE_DATABASE_DATABASE="in_environment") == "in_env_file@127.0.0.1:1/in_environment"
    )

    variable = {"FLUXBASE_DATABASE_URL": "postgresql://in_url@127.0.0.1:1/in_url"}
    assert _database_of(command, **variable) == "in_url@127.0.0.1:1/in_url"

    option = ("--database-url", "postgresql://typed@127.0.0.1:1/typed")
    assert _database_of(command, *option, **variable) == "typed@127.0.0.1:1/typed"


def test_a_run_with_all_in_fluxbase_yaml(rotation: Rotation) -> None:
    rotation.seed(20)
    url = urlsplit(rotation.url)
    command = rotation.command.lacking("FLUXBASE_DATABASE_URL", "FLUXBASE_SECRET_KEY_1", "FLUXBASE_SECRET_KEY_2")
    command.write(
        "fluxbase.yaml",
        f"{_FILE}database:\n  host: {url.hostname}\n  port: {url.port}\n  admin_user: {url.username}\n"
        f"  admin_password: '${{ADMIN_PASSWORD}}'\n  database: {url.path.strip('/')}\n",
    )
    command.write(".env", f"THE_OLD_KEY={OLD_KEY.hex()}\nTHE_NEW_KEY={NEW_KEY.hex()}\n")

    outcome = command("secrets", "re-encrypt", "-o", "json", ADMIN_PASSWORD=url.password or "")

    assert outcome.code == 0, outcome.stderr
    assert (outcome.json["re_encrypted"], outcome.json["to_version"]) == (17, 2)


# --- what can be wrong ------------------------------------------------------------------------------------------------

_GOOD = {"FLUXBASE_SECRET_KEY_1": OLD_KEY.hex(), "FLUXBASE_SECRET_KEY_2": NEW_KEY.hex()}
_MARKER = "key-marker-that-must-not-be-seen"
_WRONG: dict[str, tuple[str, dict[str, str], tuple[str, ...], str]] = {
    # name: fluxbase.yaml, the environment, the arguments, what the message must contain
    "no key at all": ("", {}, _RE_ENCRYPT, "no key"),
    "an unset variable": (_FILE, {"THE_NEW_KEY": NEW_KEY.hex()}, _RE_ENCRYPT, "THE_OLD_KEY"),
    "an empty variable": (_FILE, {"THE_NEW_KEY": NEW_KEY.hex(), "THE_OLD_KEY": ""}, _RE_ENCRYPT, "THE_OLD_KEY"),
    "a missing from-version": ("", _GOOD, ("secrets", "re-encrypt", "--from-version", "5"), "version 5"),
    "a missing to-version": ("", _GOOD, ("secrets", "re-encrypt", "--to-version", "5"), "version 5"),
    "a missing audited version": ("", _GOOD, ("secrets", "audit", "--key-version", "5"), "version 5"),
    "a missing rollback version": (
        "",
        _GOOD,
        ("secrets", "rollback", "--to-version", "5", "--reason", "test"),
        "version 5",
    ),
    "an active version without a key": (
        "security: {encryption: {active_key_version: 9}}",
        _GOOD,
        _RE_ENCRYPT,
        "active_key_version is 9",
    ),
    "two versions with one key": (
        "",
        {"FLUXBASE_SECRET_KEY_1": _MARKER, "FLUXBASE_SECRET_KEY_2": _MARKER},
        _RE_ENCRYPT,
        "FLUXBASE_SECRET_KEY_2",
    ),
    "one version twice": (
        f"security: {{encryption: {{keys: [{{version: 1, key: {_MARKER}}}, {{version: 1, key: {'y' * 32}}}]}}}}",
        {},
        _RE_ENCRYPT,
        "version 1",
    ),
    "a key of 31 bytes": (
        "",
        {**_GOOD, "FLUXBASE_SECRET_KEY_1": _MARKER[:-1]},
        _RE_ENCRYPT,
        "FLUXBASE_SECRET_KEY_1",
    ),
    "a key of 33 bytes": ("", {**_GOOD, "FLUXBASE_SECRET_KEY_1": _MARKER + "x"}, _RE_ENCRYPT, "FLUXBASE_SECRET_KEY_1"),
    "64 characters that are not hex": (
        "",
        {**_GOOD, "FLUXBASE_SECRET_KEY_2": _MARKER * 2},
        _RE_ENCRYPT,
        "FLUXBASE_SECRET_KEY_2",
    ),
    "44 characters that are not base64": (
        "",
        {**_GOOD, "FLUXBASE_SECRET_KEY_2": _MARKER + "!" * 12},
        _RE_ENCRYPT,
        "FLUXBASE_SECRET_KEY_2",
    ),
    "the wrong key in the file": (f"encryption_key: {_MARKER}-and-more\n", {}, _RE_ENCRYPT, "encryption_key"),
    "an entry without a key": (
        "security: {encryption: {keys: [{version: 1}]}}",
        {},
        _RE_ENCRYPT,
        "security.encryption.keys",
    ),
    "an entry without a version": (
        f"security: {{encryption: {{keys: [{{key: {_MARKER}}}]}}}}",
        {},
        _RE_ENCRYPT,
        "security.encryption.keys",
    ),
    "a provider that nobody has": (
        f"security: {{encryption: {{provider: nobody_has_it, keys: [{{version: 1, key: {_MARKER}}}]}}}}",
        {},
        _RE_ENCRYPT,
        "nobody_has_it",
    ),
    "no YAML": (f"encryption_key: [{_MARKER}\n", _GOOD, _RE_ENCRYPT, "fluxbase.yaml"),
    "a wrong port": ("database: {port: none}", _GOOD | {"FLUXBASE_DATABASE_URL": ""}, _RE_ENCRYPT, "database.port"),
    "a wrong ssl_mode": (
        "database: {ssl_mode: perhaps}",
        _GOOD | {"FLUXBASE_DATABASE_URL": ""},
        _RE_ENCRYPT,
        "database.ssl_mode",
    ),
    "a file that is not there": ("", _GOOD, (*_RE_ENCRYPT, "--config", "nowhere.yaml"), "nowhere.yaml"),
    "an address of something else": (
        "",
        {**_GOOD, "FLUXBASE_DATABASE_URL": f"mysql://root:{_MARKER}@localhost/x"},
        _RE_ENCRYPT,
        "FLUXBASE_DATABASE_URL",
    ),
    "a typed address of something else": (
        "",
        _GOOD,
        (*_RE_ENCRYPT, "--database-url", f"https://root:{_MARKER}@localhost/x"),
        "--database-url",
    ),
    "the same version twice": ("", _GOOD, ("secrets", "re-encrypt", "--from-version", "2"), "2"),
}


@pytest.mark.parametrize("what", _WRONG)
def test_a_wrong_configuration_is_one_clear_line_before_any_connection(
    command: Command, closed_port: str, what: str
) -> None:
    """The database is not reachable, but the message is about the configuration."""
    text, environment, arguments, named = _WRONG[what]
    command.write("fluxbase.yaml", text)

    outcome = command.having(**{"FLUXBASE_DATABASE_URL": closed_port, **environment})(*arguments)

    assert outcome.code == 2, outcome.stderr
    assert outcome.stdout == ""
    lines = outcome.stderr.splitlines()
    assert [line for line in lines if line.startswith("Error: ")] == lines[:1]
    assert named in lines[0]
    assert "Traceback" not in outcome.stderr
    assert "connect" not in outcome.stderr
    for secret in (_MARKER[:-1], "password-marker", OLD_KEY.hex(), NEW_KEY.hex()):
        assert secret not in outcome.stderr


def test_config_check_finds_a_wrong_configuration_too(command: Command, closed_port: str) -> None:
    outcome = command("config", "check", FLUXBASE_DATABASE_URL=closed_port, FLUXBASE_SECRET_KEY_1=_MARKER[:-1])

    assert outcome.code in (1, 2)
    assert "✗ keys: the key at environment: FLUXBASE_SECRET_KEY_1" in outcome.stdout
    assert _MARKER[:-1] not in outcome.all


def test_config_check_says_ready_when_a_run_can_begin(rotation: Rotation) -> None:
    rotation.seed(20)

    outcome = rotation.command("config", "check")

    assert outcome.code == 0, outcome.stdout
    assert outcome.stdout.splitlines()[-1] == "Ready."
    assert fingerprint(OLD_KEY) in outcome.stdout
