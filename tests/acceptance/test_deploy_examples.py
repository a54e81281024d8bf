"""The deployments in `examples/deploy/`: the commands of their pages change the key of a running server."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from fluxbase_cli.demo.tables import SchemaRelease
from tests.fixtures.command import Outcome
from tests.fixtures.deployed import EXAMPLES, PASSWORD, Deployment, Page, of_fluxbase, real_address
from tests.fixtures.ingress import ingress
from tests.fixtures.programs import program
from tests.fixtures.served import SERVER_KEY
from tests.fixtures.stand_in_helm import install as install_release
from tests.fixtures.stand_in_helm import values_of
from tests.fixtures.stand_in_kubectl import Cluster

_PUBLIC_KEY = "your-32-character-encryption-key"
_PROVEN = "No secrets found encrypted with key version 1"

_WAYS = ("One command", "By hand")
both_ways = pytest.mark.parametrize("way", _WAYS)
#: Each way on one of the two releases. Which way is on which release differs from page to page.
_STABLE_FIRST = pytest.mark.parametrize(("way", "release"), list(zip(_WAYS, SchemaRelease, strict=True)))
_MAIN_FIRST = pytest.mark.parametrize(("way", "release"), list(zip(_WAYS, reversed(SchemaRelease), strict=True)))


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


@_STABLE_FIRST
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


@_MAIN_FIRST
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


@pytest.mark.parametrize("example", ["compose", "compose-minimal"])
def test_the_override_file_has_the_form_that_docker_compose_needs(example: str) -> None:
    file = EXAMPLES / example / "docker-compose.fluxbase-cli.yml"

    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


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


@_STABLE_FIRST
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


# --- Kubernetes -------------------------------------------------------------------------------------------------------

_EXISTING_SECRET = Page("deploy-helm-existing-secret.md")
_KUBERNETES = "1.31"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def cluster(deployment: Deployment) -> Cluster:
    """An empty cluster, in which the database is reached as the chart names it."""
    inside = replace(deployment.world.facts.addresses[0], host="fluxbase-postgresql")
    forwarded = replace(inside, host="localhost", port="15432")
    return Cluster(deployment.reaching(inside, forwarded).world)


def _deploy(cluster: Cluster, deployment: Deployment, *, server_secret: str, database_secret: str) -> None:
    """The Deployment of the chart, and the server in its pod."""
    text = of_fluxbase("deployment.yaml")
    text = text.replace("SERVER-SECRET", server_secret).replace("DATABASE-SECRET", database_secret)
    cluster.apply(yaml.safe_load(text))
    assert deployment.shell("kubectl scale deployment/fluxbase --replicas=1").code == 0
    deployment.wait_for_server(starts=1)


@_MAIN_FIRST
def test_helm_with_an_existing_secret(cluster: Cluster, deployment: Deployment, way: str) -> None:
    before = deployment.seed(SERVER_KEY)
    fields = {"jwt-secret": "jwt", "encryption-key": SERVER_KEY, "db-password": PASSWORD}
    data = {name: _base64(value) for name, value in fields.items()}
    cluster.apply({"kind": "Secret", "metadata": {"name": "fluxbase-secrets"}, "data": data})
    _deploy(cluster, deployment, server_secret="fluxbase-secrets", database_secret="fluxbase-secrets")
    names = ("install-key", "fluxbase-cli.yaml", "rights.yaml", "tools.yaml", "cutover.yaml")
    deployment.copy(*names, example="helm-existing-secret")

    done = deployment.shell(_EXISTING_SECRET.commands("Prepare", way))

    _has_moved(deployment, before, done, _EXISTING_SECRET, way)
    after = Cluster(deployment.world)
    assert after.get("Secret", "fluxbase-secrets")["data"] == {**data, "encryption-key": _base64(deployment.server_key)}
    keys = after.get("Secret", "fluxbase-keys")["data"]
    assert keys == {
        "FLUXBASE_SECRET_KEY_1": _base64(SERVER_KEY),
        "FLUXBASE_SECRET_KEY_2": _base64(deployment.server_key),
    }


def test_kubernetes_accepts_the_manifests() -> None:
    for name in ("rights.yaml", "tools.yaml", "cutover.yaml"):
        text = (EXAMPLES / "helm-existing-secret" / name).read_text(encoding="utf-8")
        for manifest in yaml.safe_load_all(text):
            kubernetes_validate.validate(manifest, _KUBERNETES, strict=True)


@pytest.mark.parametrize(("key", "code"), [("k" * 32, 0), ("k" * 32 + "\n", 0), ("k" * 31, 1), ("", 1)])
def test_install_key_leaves_other_fields_and_removes_a_line_end(
    cluster: Cluster, deployment: Deployment, key: str, code: int
) -> None:
    data = {"jwt-secret": _base64("jwt"), "encryption-key": _base64(SERVER_KEY)}
    cluster.apply({"kind": "Secret", "metadata": {"name": "fluxbase-secrets"}, "data": data})
    deployment.copy("install-key", example="helm-existing-secret")
    deployment.write("key", key)

    done = deployment.shell("./install-key < key")

    assert done.code == code, done.all
    found = Cluster(deployment.world).get("Secret", "fluxbase-secrets")["data"]
    assert found == {**data, "encryption-key": _base64(key.rstrip("\n"))}


_HELM = Page("deploy-helm.md")


@pytest.fixture
def release_of_chart(cluster: Cluster, deployment: Deployment) -> Deployment:
    """The release of the chart with its own Secret, its server, and the files of the example."""
    text = of_fluxbase("deployment.yaml")
    text = text.replace("SERVER-SECRET", "fluxbase").replace("DATABASE-SECRET", "fluxbase-postgresql")
    database = {"db-password": _base64(PASSWORD)}
    cluster.apply({"kind": "Secret", "metadata": {"name": "fluxbase-postgresql"}, "data": database})
    values = {"config.encryption_key": SERVER_KEY, "config.auth.jwt_secret": "jwt", "replicaCount": "0"}
    install_release(deployment.world, yaml.safe_load(text), values)
    deployment.copy("install-key", "start", "release", "fluxbase-cli.yaml", example="helm")
    deployment.seed(SERVER_KEY)
    assert deployment.shell("./start").code == 0
    deployment.wait_for_server(starts=1)
    return replace(deployment, world=cluster.world)


def _from_outside(deployment: Deployment, folder: Path, script: str) -> Outcome:
    """Run commands on a machine that reaches the server by its public address."""
    name, facts = "fluxbase.example.com", deployment.world.facts
    with ingress(name, facts.port, folder) as (port, certificate):
        reached = deployment.reaching(*facts.addresses, **{f"{name}:443": port})
        return reached.shell(script, SSL_CERT_FILE=str(certificate))


@_STABLE_FIRST
def test_helm(release_of_chart: Deployment, tmp_path: Path, way: str) -> None:
    before = release_of_chart.plaintexts(SERVER_KEY)

    done = _from_outside(release_of_chart, tmp_path, _HELM.commands("Prepare", way))

    _has_moved(release_of_chart, before, done, _HELM, way)
    assert values_of(release_of_chart.world) == {
        "config.encryption_key": release_of_chart.server_key,
        "config.auth.jwt_secret": "jwt",
        "replicaCount": "1",
    }


def test_helm_goes_back_without_starting_a_server_under_the_wrong_key(
    release_of_chart: Deployment, tmp_path: Path
) -> None:
    before = release_of_chart.plaintexts(SERVER_KEY)
    start = release_of_chart.directory / "start"
    fails_once = start.read_text(encoding="utf-8").replace(
        "set -eu", "set -eu; [ -e failed ] || { : > failed; exit 3; }"
    )
    start.write_text(fails_once, encoding="utf-8")
    command = "fluxbase-cli rotation run --force || code=$?\nkill $forward\nexit $code\n"

    back = _from_outside(release_of_chart, tmp_path, _HELM.commands("Prepare") + command)

    assert back.code == 1, back.all
    assert "Went back to version 1: start_command ./start ended with exit code 3" in back.stdout
    release_of_chart.wait_for_server(starts=2)
    assert release_of_chart.events() == ["start", "stop", "start"]
    assert release_of_chart.plaintexts(SERVER_KEY) == before
    assert values_of(release_of_chart.world)["config.encryption_key"] == SERVER_KEY
    assert [call for call in release_of_chart.calls() if "replicaCount" in call][1:] == [
        "helm upgrade replicaCount=0",
        "helm upgrade replicaCount=0",
        "helm upgrade replicaCount=1",
    ]
