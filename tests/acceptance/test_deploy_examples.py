"""The deployments in `examples/deploy/`: the commands of their pages change the key of a running server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.command import Outcome
from tests.fixtures.deployed import EXAMPLES, PASSWORD, Deployment, Page, of_fluxbase, real_address
from tests.fixtures.embedded import on_both_releases
from tests.fixtures.programs import program
from tests.fixtures.served import SERVER_KEY

_PUBLIC_KEY = "your-32-character-encryption-key"
_PROVEN = "No secrets found encrypted with key version 1"

both_ways = pytest.mark.parametrize("way", ["One command", "By hand"])


def _has_moved(
    deployment: Deployment, before: dict[Any, bytes], done: Outcome, page: Page, way: str, *, old: str = SERVER_KEY
) -> None:
    """The server runs with a new key, every value is under it, and no server ever failed to open one."""
    assert done.code == 0, done.all
    assert _PROVEN in done.stdout.splitlines()
    deployment.wait_for_server(starts=2)
    new = deployment.server_key
    assert new != old
    assert re.fullmatch("[A-Za-z0-9_-]{32}", new)
    assert before
    assert deployment.plaintexts(new) == before
    assert deployment.plaintexts(old) == {}
    assert deployment.events() == ["start", "stop", "start"]
    assert not {old, new} & set(re.split(r"[\s=:,'\"]+", done.all))
    printed = [_without_figures(line) for line in done.all.splitlines()]
    for line in page.printed(way):
        assert _without_figures(line) in printed, done.all


def _without_figures(line: str) -> str:
    """A printed line without what differs between two runs: fingerprints, times, folders, the database's name."""
    line = re.sub(r"\S+/(?=[\w.-]+: )|^\S+(?= \(main\))", "", line)
    return re.sub(r"[0-9a-f]{16}|\d+(\.\d+)?", "N", line)


# --- Docker Compose ---------------------------------------------------------------------------------------------------

_COMPOSE = Page("deploy-compose.md")
_MINIMAL = Page("deploy-compose-minimal.md")


def _compose(deployment: Deployment, file: str, example: str, env: str) -> None:
    """Fluxbase's own Compose file and `.env`, the server that they start, and the two files of the example."""
    deployment.write(file, of_fluxbase(file))
    deployment.write(".env", env)
    assert deployment.shell(f"docker compose -f {file} up -d").code == 0
    deployment.wait_for_server(starts=1)
    deployment.copy("docker-compose.fluxbase-cli.yml", "fluxbase-cli.yaml", example=example)


@on_both_releases
@both_ways
def test_compose(deployment: Deployment, way: str) -> None:
    before = deployment.seed(SERVER_KEY)
    _compose(
        deployment,
        "docker-compose.yml",
        "compose",
        f"POSTGRES_PASSWORD={PASSWORD}\nFLUXBASE_ENCRYPTION_KEY={SERVER_KEY}\nTZ=UTC\n",
    )

    done = deployment.shell(_COMPOSE.commands("Prepare", way))

    _has_moved(deployment, before, done, _COMPOSE, way)
    assert "TZ=UTC" in (deployment.directory / ".env").read_text().splitlines()


@both_ways
def test_compose_with_the_key_that_everybody_knows(deployment: Deployment, way: str) -> None:
    before = deployment.seed(_PUBLIC_KEY)
    # No line end, and no key: the server has the one of docker-compose.yml.
    _compose(deployment, "docker-compose.yml", "compose", f"POSTGRES_PASSWORD={PASSWORD}")

    done = deployment.shell(_COMPOSE.commands("Prepare", way))

    _has_moved(deployment, before, done, _COMPOSE, way, old=_PUBLIC_KEY)


@on_both_releases
@both_ways
def test_compose_minimal(deployment: Deployment, way: str) -> None:
    before = deployment.seed(SERVER_KEY)
    _compose(
        deployment,
        "docker-compose.minimal.yaml",
        "compose-minimal",
        f"# Database\nPOSTGRES_PASSWORD={PASSWORD}\n\nFLUXBASE_AUTH_JWT_SECRET=jwt\n"
        f"# Must be exactly 32 characters for AES-256-GCM\nFLUXBASE_ENCRYPTION_KEY={SERVER_KEY}\n\n"
        "FLUXBASE_SECURITY_SETUP_TOKEN=token\n",
    )

    done = deployment.shell(_MINIMAL.commands("Prepare", way))

    _has_moved(deployment, before, done, _MINIMAL, way)


def test_the_stand_in_keeps_an_environment_as_docker_compose_does(deployment: Deployment) -> None:
    deployment.seed(SERVER_KEY)
    _compose(
        deployment,
        "docker-compose.yml",
        "compose",
        f"POSTGRES_PASSWORD={PASSWORD}\nFLUXBASE_ENCRYPTION_KEY={SERVER_KEY}\n",
    )
    other = "n" * 32
    deployment.write(".env", f"POSTGRES_PASSWORD={PASSWORD}\nFLUXBASE_ENCRYPTION_KEY={other}\n")

    kept = []
    for command in (
        "docker compose restart fluxbase",
        "docker compose stop fluxbase && docker compose start fluxbase",
        f"FLUXBASE_ENCRYPTION_KEY={SERVER_KEY} docker compose up -d --no-deps fluxbase",
    ):
        assert deployment.shell(command).code == 0
        kept.append(deployment.server_key)
    assert deployment.shell("docker compose up -d --no-deps fluxbase").code == 0

    assert kept == [SERVER_KEY] * 3
    assert deployment.server_key == other
    assert deployment.shell("docker compose run --rm fluxbase-cli config check").code == 1


# --- systemd ----------------------------------------------------------------------------------------------------------

_SYSTEMD = Page("deploy-systemd.md")


@pytest.fixture
def machine(deployment: Deployment) -> Deployment:
    """A machine on which the unit `fluxbase` runs, with the files of the example."""
    address = real_address(deployment.world.facts.url)
    machine = deployment.reaching(address)
    etc, units = machine.root / "etc" / "fluxbase", machine.root / "etc" / "systemd" / "system"
    for folder in (etc, units):
        folder.mkdir(parents=True)
    machine.copy("fluxbase-cli.yaml", example="systemd", to=etc)
    names = ("fluxbase.service", "fluxbase-cutover.service", "fluxbase-cutover.timer")
    machine.copy(*names, example="systemd", to=units)
    values = {f"FLUXBASE_DATABASE_{name.upper()}": value for name, value in asdict(address).items()}
    values["FLUXBASE_ENCRYPTION_KEY"] = SERVER_KEY
    lines = "".join(f"{name}={value}\n" for name, value in values.items())
    (etc / "fluxbase.env").write_text(f"# the server's variables\n{lines}", encoding="utf-8")
    return machine


@on_both_releases
@both_ways
def test_systemd(machine: Deployment, way: str) -> None:
    before = machine.seed(SERVER_KEY)
    assert machine.shell("systemctl start fluxbase").code == 0
    machine.wait_for_server(starts=1)

    done = machine.shell(machine.rooted(_SYSTEMD.commands("Prepare", way)))

    _has_moved(machine, before, done, _SYSTEMD, way)


def test_the_timer_of_systemd_runs_a_service_that_changes_the_key_when_it_is_due(machine: Deployment) -> None:
    before = machine.seed(SERVER_KEY)
    machine.shell("systemctl start fluxbase")
    machine.wait_for_server(starts=1)
    # Due each minute.
    config = machine.root / "etc" / "fluxbase" / "fluxbase-cli.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("0 3 1 */3 *", "* * * * *"), encoding="utf-8")

    done = machine.shell(_SYSTEMD.commands("By schedule") + "systemctl start fluxbase-cutover.service")

    assert done.code == 0, done.all
    assert machine.events() == ["start", "stop", "start"]
    assert machine.plaintexts(machine.server_key) == before
    assert machine.server_key != SERVER_KEY


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    names = ("fluxbase.service", "fluxbase-cutover.service", "fluxbase-cutover.timer")
    for name in names:
        text = (EXAMPLES / "systemd" / name).read_text(encoding="utf-8").replace("User=fluxbase\n", "")
        # systemd checks that the program exists.
        (tmp_path / name).write_text(re.sub(r"/usr/local/bin/fluxbase-\w+", sys.executable, text), encoding="utf-8")

    done = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", *(str(tmp_path / name) for name in names)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )

    assert (done.returncode, [line for line in done.stderr.splitlines() if "fluxbase" in line]) == (0, []), done.stderr
