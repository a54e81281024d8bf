"""The deployments in `examples/deploy/`: the commands of their pages change the key of a running server."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.fixtures.command import Outcome
from tests.fixtures.deployed import PASSWORD, Deployment, Page, of_fluxbase
from tests.fixtures.embedded import on_both_releases
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
