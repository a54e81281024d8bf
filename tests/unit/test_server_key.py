"""The server's own key as a key of the ring: `encryption_key` beside keys with versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxbase_cli.config import ServerKeyring, Settings, UnsetKeyError, knows_one_key, load_settings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import Keyring, load_keyring

ONE = "one-32-characters-AAAAAAAAAAAAAA"
TWO = "two-32-characters-BBBBBBBBBBBBBB"
THREE = "three-32-characters-CCCCCCCCCCCC"


def load(tmp_path: Path, text: str = "", env: str | None = None, **environ: str) -> Settings:
    (tmp_path / "fluxbase.yaml").write_text(text)
    if env is not None:
        (tmp_path / "server.env").write_text(env)
    return load_settings(directory=tmp_path, environ=environ, system_directory=tmp_path / "etc")


def ring(tmp_path: Path, text: str = "", env: str | None = None, **environ: str) -> Keyring:
    return load_keyring(load(tmp_path, text, env, **environ).encryption, environ)


def shown(keyring: Keyring) -> dict[int, bytes]:
    return {key.version: key.secret for key in keyring.keys}


def test_alone_it_is_version_1(tmp_path: Path) -> None:
    keyring = ring(tmp_path, FLUXBASE_ENCRYPTION_KEY=ONE)
    assert (shown(keyring), keyring.server_version, keyring.active) == ({1: ONE.encode()}, 1, 1)


def test_beside_a_variable_with_a_version_it_stays_version_1(tmp_path: Path) -> None:
    keyring = ring(tmp_path, FLUXBASE_ENCRYPTION_KEY=ONE, FLUXBASE_SECRET_KEY_2=TWO)
    assert shown(keyring) == {1: ONE.encode(), 2: TWO.encode()}
    # The server seals under the key that it has. The newest key is what a re-encryption moves to.
    assert (keyring.server_version, keyring.active, keyring.newest) == (1, 1, 2)


def test_given_its_new_key_the_server_has_that_version(tmp_path: Path) -> None:
    environ = {"FLUXBASE_ENCRYPTION_KEY": TWO, "FLUXBASE_SECRET_KEY_1": ONE, "FLUXBASE_SECRET_KEY_2": TWO}
    keyring = ring(tmp_path, **environ)
    assert (shown(keyring), keyring.server_version, keyring.active) == ({1: ONE.encode(), 2: TWO.encode()}, 2, 2)


def test_the_same_key_in_another_form_is_that_version(tmp_path: Path) -> None:
    keyring = ring(tmp_path, FLUXBASE_ENCRYPTION_KEY=TWO, FLUXBASE_SECRET_KEY_2=TWO.encode().hex())
    assert (shown(keyring), keyring.server_version) == ({2: TWO.encode()}, 2)


def test_beside_keys_of_the_file_it_is_version_1_or_the_version_with_the_same_key(tmp_path: Path) -> None:
    text = "encryption_key: {}\nsecurity: {{encryption: {{keys: [{{version: 2, key: {}}}]}}}}\n"
    assert ring(tmp_path, text.format(ONE, TWO)).server_version == 1
    assert ring(tmp_path, text.format(TWO, TWO)).server_version == 2


def test_a_clash_with_version_1_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ring(tmp_path, FLUXBASE_ENCRYPTION_KEY=THREE, FLUXBASE_SECRET_KEY_1=ONE, FLUXBASE_SECRET_KEY_2=TWO)
    assert caught.value.message == (
        "the key at environment: FLUXBASE_ENCRYPTION_KEY is none of the configured versions, and version 1 is another "
        "key (environment: FLUXBASE_SECRET_KEY_1)"
    )
    assert "as FLUXBASE_SECRET_KEY_<version>" in (caught.value.hint or "")


def test_a_configured_active_version_counts_more(tmp_path: Path) -> None:
    text = "security: {encryption: {active_key_version: 2}}\n"
    keyring = ring(tmp_path, text, FLUXBASE_ENCRYPTION_KEY=ONE, FLUXBASE_SECRET_KEY_2=TWO)
    assert (keyring.server_version, keyring.active) == (1, 2)


_WITH_FILE = "security: {encryption: {server: {env_file: server.env}}}\n"


def test_what_stands_in_the_servers_own_file_is_the_servers_key(tmp_path: Path) -> None:
    env = f"FLUXBASE_ENCRYPTION_KEY={TWO}\nFLUXBASE_SECRET_KEY_1={ONE}\nFLUXBASE_SECRET_KEY_2={TWO}\n"
    keyring = ring(tmp_path, _WITH_FILE, env)
    assert (shown(keyring), keyring.server_version) == ({1: ONE.encode(), 2: TWO.encode()}, 2)


def test_an_old_key_in_the_environment_does_not_hide_the_servers_key(tmp_path: Path) -> None:
    env = f"FLUXBASE_ENCRYPTION_KEY={TWO}\nFLUXBASE_SECRET_KEY_1={ONE}\nFLUXBASE_SECRET_KEY_2={TWO}\n"
    settings = load(tmp_path, _WITH_FILE, env, FLUXBASE_ENCRYPTION_KEY=ONE)
    assert load_keyring(settings.encryption, {}).server_version == 2
    (warning,) = settings.warnings
    assert warning == (
        f"environment: FLUXBASE_ENCRYPTION_KEY is not used: the server has the key at {tmp_path}/server.env: "
        "FLUXBASE_ENCRYPTION_KEY, which is another one; remove the one that is wrong"
    )


@pytest.mark.parametrize(
    ("text", "environ", "single"),
    [
        ("", {}, None),
        ("encryption_key: x\n", {}, True),
        ("", {"FLUXBASE_ENCRYPTION_KEY": "x"}, True),
        ("", {"FLUXBASE_ENCRYPTION_KEY": "x", "FLUXBASE_SECRET_KEY_2": "y"}, True),
        ("", {"FLUXBASE_SECRET_KEY_2": "y"}, False),
        ("security: {encryption: {keys: [{version: 1, key: '${UNSET}'}]}}\n", {}, False),
        ("security: {encryption: {server: {keyring: Single}}}\n", {}, True),
        ("encryption_key: x\nsecurity: {encryption: {server: {keyring: versioned}}}\n", {}, False),
    ],
)
def test_whether_the_server_knows_one_key(
    tmp_path: Path,
    text: str,
    environ: dict[str, str],
    single: bool | None,  # noqa: FBT001  # a parameter of the test
) -> None:
    (tmp_path / "fluxbase.yaml").write_text(text)
    answer = knows_one_key(config=None, directory=tmp_path, environ=environ, system_directory=tmp_path / "etc")
    assert answer is single
    if single is not None and "UNSET" not in text:
        assert load(tmp_path, text, **environ).encryption.is_single is single


def test_a_key_that_is_not_set_yet_does_not_keep_a_new_one_from_being_made(tmp_path: Path) -> None:
    text = "security: {encryption: {keys: [{version: 1, key: '${UNSET}'}]}}\n"
    with pytest.raises(UnsetKeyError):
        load(tmp_path, text)


def test_what_a_released_server_reads_in_another_way_is_told(tmp_path: Path) -> None:
    (literal,) = load(tmp_path, "encryption_key: '${KEY}'\n", KEY=ONE).warnings
    assert literal == (
        "fluxbase.yaml: encryption_key (${KEY}): no released server replaces ${…} in fluxbase.yaml, it takes it as the "
        "key; set FLUXBASE_ENCRYPTION_KEY instead"
    )
    (long,) = load(tmp_path, FLUXBASE_ENCRYPTION_KEY="0f" * 32).warnings
    assert long == (
        "environment: FLUXBASE_ENCRYPTION_KEY is 64 bytes long: a released server starts only with a key of 32 bytes; "
        "`fluxbase-cli keys generate --encoding raw` makes one"
    )


def test_the_settings_of_the_server(tmp_path: Path) -> None:
    text = """
    security:
      encryption:
        server:
          keyring: single
          env_file: deploy/.env
          stop_command: [docker, compose, stop, fluxbase]
          health_url: https://localhost:8080/health
          health_timeout: 2m
    """
    server = load(tmp_path, text, FLUXBASE_SECURITY_ENCRYPTION_SERVER_START_COMMAND="systemctl start 'flux base'")
    settings = server.encryption.server
    assert settings.keyring is ServerKeyring.SINGLE
    assert settings.env_file == tmp_path / "deploy/.env"
    assert settings.stop_command == ("docker", "compose", "stop", "fluxbase")
    assert settings.start_command == ("systemctl", "start", "flux base")
    assert settings.health_timeout.total_seconds() == 120


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ("keyring: both", "keyring must be one of single, versioned, auto"),
        ("health_url: localhost/health", "health_url is not a URL that begins with http:// or https://"),
        ("stop_command: docker compose stop", "stop_command must be a list of words"),
        ("health_timeout: soon", "health_timeout"),
    ],
)
def test_settings_of_the_server_that_cannot_be_used(tmp_path: Path, server: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load(tmp_path, f"security: {{encryption: {{server: {{{server}}}}}}}\n")
