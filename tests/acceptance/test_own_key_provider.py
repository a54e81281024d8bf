"""A company's own key provider: the example package, installed as a user would install it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fluxbase_cli.seal import fingerprint
from tests.fixtures.command import OLD_KEY, Command, Rotation

_EXAMPLE = Path(__file__).parents[2] / "examples" / "key-provider"
_WRAPPING = Path(__file__).parents[1] / "data" / "wrapping-provider"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder where the packages are installed."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"),
            *("--disable-pip-version-check", "--target", str(folder), str(_EXAMPLE), str(_WRAPPING)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return str(folder)


def _configured(command: Command, installed: str) -> Command:
    command.write(
        "fluxbase.yaml",
        "security:\n  encryption:\n    active_key_version: 2\n    keys:\n"
        + "".join(
            f"      - version: {version}\n        provider: example-files\n        key: key-{version}\n"
            for version in (1, 2)
        ),
    )
    command.write("key-1", OLD_KEY.hex() + "\n")
    return command.having(PYTHONPATH=installed).lacking("FLUXBASE_SECRET_KEY_1", "FLUXBASE_SECRET_KEY_2")


def test_a_rotation_with_keys_of_a_provider_from_another_package(rotation: Rotation, installed: str) -> None:
    rotation.seed(40, new_share=0.0)
    command = _configured(rotation.command, installed)

    missing = command("secrets", "audit")
    assert (missing.code, "there is no such file" in missing.stderr) == (2, True)
    stored = command("keys", "generate", "--store", "-o", "json")
    assert stored.code == 0, stored.stderr
    assert (stored.json["version"], stored.json["provider"]) == (2, "example-files")
    new_key = bytes.fromhex((command.directory / "key-2").read_text())
    assert stored.json["fingerprint"] == fingerprint(new_key)
    done = command("secrets", "re-encrypt", "-o", "json")
    assert (done.code, done.json["re_encrypted"]) == (0, 40)
    # It cannot destroy keys, so the operator reads what to remove.
    destroyed = command("keys", "destroy", "--key-version", "1", "--now", "--yes", "--reason", "test")
    assert destroyed.code == 0, destroyed.all
    assert "remove the key from fluxbase.yaml: security.encryption.keys[0].key" in destroyed.stderr


def test_without_the_package_the_message_has_its_name(rotation: Rotation, installed: str) -> None:
    outcome = _configured(rotation.command, installed).lacking("PYTHONPATH")("keys", "list")

    assert outcome.code == 2
    assert "no key provider named 'example-files' is installed" in outcome.stderr


def test_a_key_service_of_another_package_wraps_keys_that_the_database_keeps(
    rotation: Rotation, installed: str, tmp_path: Path
) -> None:
    """It can do everything here that AWS KMS can do. The code of fluxbase-cli does not contain its name."""
    rotation.seed(40, new_share=0.0)
    for name in ("main", "other"):
        (tmp_path / name).write_text(os.urandom(32).hex())
    rotation.command.write(
        "fluxbase.yaml",
        "security:\n  encryption:\n    provider: acme-keys\n    active_key_version: 2\n    keys:\n"
        "      - version: 1\n        provider: env\n        key: '${THE_OLD_KEY}'\n",
    )
    command = rotation.command.having(PYTHONPATH=installed, ACME_KEYS=str(tmp_path), THE_OLD_KEY=OLD_KEY.hex()).lacking(
        "FLUXBASE_SECRET_KEY_1", "FLUXBASE_SECRET_KEY_2"
    )

    stored = command("keys", "generate", "--store", "-o", "json")
    assert stored.code == 0, stored.stderr
    assert (stored.json["version"], stored.json["provider"]) == (2, "acme-keys")
    moved = command("secrets", "re-encrypt", "-o", "json")
    assert (moved.code, moved.json["re_encrypted"]) == (0, 40), moved.stderr
    rewrapped = command("keys", "rewrap", "--kms-key-id", "other", "-o", "json")
    assert rewrapped.code == 0, rewrapped.stderr
    (tmp_path / "main").unlink()
    listed = command("keys", "list", "-o", "json").json["keys"]
    assert [(key["version"], key["provider"]) for key in listed] == [(1, "env"), (2, "acme-keys")]
    assert listed[1]["fingerprint"] == stored.json["fingerprint"]
    assert command("secrets", "audit", "--key-version", "1").code == 0
    # Without the wrapping key nothing opens, and the message says so.
    (tmp_path / "other").write_text(os.urandom(32).hex())
    lost = command("secrets", "audit")
    assert (lost.code, "does not open" in lost.stderr) == (2, True)


def test_an_entry_with_a_ciphertext_is_opened_by_the_provider_of_the_section(
    rotation: Rotation, installed: str, tmp_path: Path
) -> None:
    (tmp_path / "main").write_text(os.urandom(32).hex())
    head = "security:\n  encryption:\n    provider: acme-keys\n    keys:\n"
    old = "      - version: 1\n        provider: env\n        key: '${THE_OLD_KEY}'\n"
    rotation.command.write("fluxbase.yaml", head + old)
    command = rotation.command.having(PYTHONPATH=installed, ACME_KEYS=str(tmp_path), THE_OLD_KEY=OLD_KEY.hex()).lacking(
        "FLUXBASE_SECRET_KEY_1", "FLUXBASE_SECRET_KEY_2"
    )
    assert command("keys", "generate", "--store").code == 0
    ciphertext, kept = rotation.rows(
        "SELECT translate(encode(ciphertext, 'base64'), E'\\n', ''), fingerprint FROM fluxbase_keys.wrapped_key"
    )[0]

    rotation.command.write(
        "fluxbase.yaml",
        f"{head}{old}      - version: 2\n        kms_key_id: main\n        ciphertext: {ciphertext}\n",
    )

    listed = command("keys", "list", "-o", "json")
    assert listed.code == 0, listed.stderr
    assert [(key["provider"], key["fingerprint"]) for key in listed.json["keys"]][1] == ("acme-keys", kept)
