"""The demo and the examples in `examples/`, run as a user would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from fluxbase_cli.config import load_settings
from tests.fixtures.command import NEW_KEY, OLD_KEY, Rotation

_EXAMPLES = Path(__file__).parents[2] / "examples"


def _demo(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    coverage = {name: value for name, value in os.environ.items() if name.startswith("COV")}
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"} | coverage | variables
    return subprocess.run(
        [sys.executable, "-m", "fluxbase_cli", "demo", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("This is a database of release 2026.3.6.", "17 more secrets are plaintext", "dashboard.oauth_providers")),
        (("--release", "main"), ("This is a database of release main.", "platform.oauth_providers")),
    ],
)
def test_the_demo_shows_the_whole_story(tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    done = _demo(*arguments, folder=tmp_path)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for command in (
        "$ export FLUXBASE_SECRET_KEY_2=$(fluxbase-cli keys generate --encoding raw)",
        "$ fluxbase-cli secrets re-encrypt --from-version 1 --to-version 2 --yes",
        "$ fluxbase-cli secrets audit --key-version 1",
    ):
        assert command in lines
    assert "✓ Re-encrypted 850 secrets (already using new key: 150)" in lines
    assert "No secrets found encrypted with key version 1" in lines
    assert all(word in done.stdout for word in words)
    assert not list(tmp_path.iterdir())


def test_the_demo_ignores_the_settings_of_a_real_server(tmp_path: Path) -> None:
    done = _demo(
        "--secrets", "20", folder=tmp_path, FLUXBASE_SECRET_KEY_1="x", FLUXBASE_DATABASE_URL="postgresql://nowhere/"
    )

    assert done.returncode == 0, done.stderr
    assert "✓ Re-encrypted 17 secrets (already using new key: 3)" in done.stdout


def test_the_demo_can_leave_its_server_running(tmp_path: Path) -> None:
    done = _demo("--secrets", "20", "--keep", folder=tmp_path)

    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    environment = Path(next(word for word in words if word.endswith("/environment")))
    stop = next(word for word in words if word.endswith("/stop"))
    try:
        assert environment.stat().st_mode & 0o777 == 0o600
        exports = dict(line.removeprefix("export ").split("=", 1) for line in environment.read_text().splitlines())
        url = exports["FLUXBASE_DATABASE_URL"].strip("'")
        assert url not in done.stdout
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM functions.secrets").fetchone() != (0,)
    finally:
        subprocess.run(["sh", stop], check=True)
    assert not environment.exists()


def test_the_example_configuration_is_read_as_it_says() -> None:
    variables = {
        "FLUXBASE_APP_PASSWORD": "app",
        "FLUXBASE_ADMIN_PASSWORD": "admin",
        "OLD_SECRET_KEY": "1" * 64,
        "NEW_SECRET_KEY": "2" * 64,
    }

    settings = load_settings(config=_EXAMPLES / "fluxbase.yaml", directory=_EXAMPLES, environ=variables)

    assert [entry.version for entry in settings.encryption.keys] == [1, 2]
    assert settings.database.connection_parameters()["user"] == "fluxbase_admin"
    assert not settings.warnings


def test_the_example_script_rotates_and_can_be_run_again(rotation: Rotation, tmp_path: Path) -> None:
    rotation.seed(40)
    program = tmp_path / "bin" / "fluxbase-cli"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m fluxbase_cli "$@"\n')
    program.chmod(0o755)
    environment = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "FLUXBASE_DATABASE_URL": rotation.url,
        "FLUXBASE_SECRET_KEY_1": OLD_KEY.hex(),
        "FLUXBASE_SECRET_KEY_2": NEW_KEY.hex(),
    }

    for _ in range(2):
        done = subprocess.run(
            ["sh", str(_EXAMPLES / "rotate.sh")],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("No secrets found encrypted with key version 1\n")
    assert (tmp_path / "rotation.json").exists()
