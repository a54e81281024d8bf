"""A company's own key provider: the example package, installed as a user would install it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fluxbase_cli.seal import fingerprint
from tests.fixtures.command import OLD_KEY, Command, Rotation

_PACKAGE = Path(__file__).parents[2] / "examples" / "key-provider"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder into which the package was installed."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"),
            *("--disable-pip-version-check", "--target", str(folder), str(_PACKAGE)),
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
    # It can't destroy keys, so the operator is told what to remove.
    destroyed = command("keys", "destroy", "--key-version", "1", "--now")
    assert destroyed.code == 0, destroyed.all
    assert "remove the key from fluxbase.yaml: security.encryption.keys[0].key" in destroyed.stderr


def test_without_the_package_its_name_is_told(rotation: Rotation, installed: str) -> None:
    outcome = _configured(rotation.command, installed).lacking("PYTHONPATH")("keys", "list")

    assert outcome.code == 2
    assert "no key provider named 'example-files' is installed" in outcome.stderr
