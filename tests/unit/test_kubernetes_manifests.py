"""`examples/kubernetes`: what Kustomize puts together, and what the cluster's rules for pods say about it.

Kustomize itself is not needed here. docs/operators/kubernetes.md says with which version the overlays were rendered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import kubernetes_validate
import pytest
import yaml

from fluxbase_cli.rotation.schedule import parse_schedule
from tests.image.dockerfile import read_stages

_ROOT = Path(__file__).parents[2]
_FOLDER = _ROOT / "examples" / "kubernetes"
_BY_HAND = _ROOT / "examples" / "deploy" / "helm-existing-secret"
_OVERLAYS = sorted(path.name for path in (_FOLDER / "overlays").iterdir())
#: The oldest version whose API has everything in the manifests as stable, and the newest known version.
_VERSIONS = ("1.31", kubernetes_validate.latest_version())


def _kustomization(folder: Path) -> Mapping[str, Any]:
    return dict(yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8")))


def _named(folder: Path) -> Iterator[Path]:
    """All files that a kustomization takes, also through others."""
    found = _kustomization(folder)
    for name in (*found.get("resources", ()), *found.get("components", ())):
        path = (folder / name).resolve()
        if path.is_dir():
            yield from _named(path)
        else:
            yield path


def _objects(paths: Iterator[Path]) -> list[Any]:
    return [each for path in paths for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def _overlay(name: str) -> list[Any]:
    return _objects(_named(_FOLDER / "overlays" / name))


def _pod(manifest: Any) -> Any | None:
    spec = manifest.get("spec", {})
    match manifest["kind"]:
        case "Pod":
            return spec
        case "Job" | "Deployment":
            return spec["template"]["spec"]
        case "CronJob":
            return spec["jobTemplate"]["spec"]["template"]["spec"]
        case _:
            return None


def _only(manifests: list[Any], kind: str) -> Any:
    (found,) = (each for each in manifests if each["kind"] == kind)
    return found


def test_every_file_is_taken_by_an_overlay() -> None:
    files = {path for path in _FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml"}

    assert files == {path for name in _OVERLAYS for path in _named(_FOLDER / "overlays" / name)}


@pytest.mark.parametrize("overlay", _OVERLAYS)
def test_kubernetes_accepts_the_objects(overlay: str) -> None:
    manifests = _overlay(overlay)

    names = [(each["kind"], each["metadata"]["name"]) for each in manifests]
    assert len(set(names)) == len(names)
    for each in manifests:
        # An object of the Prometheus Operator is not in the schemas of Kubernetes.
        if each["apiVersion"].startswith("monitoring.coreos.com/"):
            continue
        for version in _VERSIONS:
            kubernetes_validate.validate(each, version, strict=True)


def _violations(pod: Any) -> Iterator[str]:
    """What the profile `restricted` of the Pod Security Standards forbids, and a file system that can be written."""
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            yield name
    common = pod.get("securityContext", {})
    for volume in pod.get("volumes", ()):
        if not set(volume) - {"name"} <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}:
            yield f"volume {volume['name']}"
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        own = container.get("securityContext", {})
        both = {**common, **own}
        kept = {
            "root": both.get("runAsNonRoot") is True and both.get("runAsUser") != 0,
            "seccompProfile": both.get("seccompProfile", {}).get("type") in {"RuntimeDefault", "Localhost"},
            "privileges": own.get("allowPrivilegeEscalation") is False and not own.get("privileged"),
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "root file system": own.get("readOnlyRootFilesystem") is True,
        }
        yield from (name for name, is_kept in kept.items() if not is_kept)


def _pods() -> list[Any]:
    manifests = [each for name in _OVERLAYS for each in _overlay(name)]
    manifests += _objects(path for path in sorted(_BY_HAND.glob("*.yaml")) if path.name != "fluxbase-cli.yaml")
    return [pod for each in manifests if (pod := _pod(each)) is not None]


def test_every_pod_may_run_where_the_restricted_profile_is_enforced() -> None:
    pods = _pods()

    assert len(pods) == len(_OVERLAYS) + 2
    assert [list(_violations(pod)) for pod in pods] == [[]] * len(pods)


def test_every_pod_runs_as_the_user_of_the_image_through_its_entry_point_or_not_at_all() -> None:
    (user,) = read_stages(_ROOT / "Dockerfile")["base"].having("USER")

    for pod in _pods():
        assert str(pod["securityContext"]["runAsUser"]) == user.text.partition(":")[0]
        for container in pod["containers"]:
            # Otherwise nothing passes signals on.
            assert container.get("command") in (None, ["sleep", "infinity"])


@pytest.mark.parametrize("overlay", _OVERLAYS)
def test_only_pods_with_rights_get_a_token_for_the_api(overlay: str) -> None:
    manifests = _overlay(overlay)
    account = _only(manifests, "ServiceAccount")
    (pod,) = (pod for each in manifests if (pod := _pod(each)) is not None)
    roles = [each for each in manifests if each["kind"] == "Role"]

    assert account["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert pod["automountServiceAccountToken"] is bool(roles)
    for role in roles:
        binding = _only(manifests, "RoleBinding")
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account["metadata"]["name"]}]
        # One named object, and nothing that reads Secrets.
        assert [(rule["resources"], rule["resourceNames"]) for rule in role["rules"]] == [
            (["deployments"], ["fluxbase"])
        ]


@pytest.mark.parametrize("overlay", _OVERLAYS)
def test_the_image_has_kubectl_exactly_where_the_pod_may_use_it(overlay: str) -> None:
    folder = _FOLDER / "overlays" / overlay
    (image,) = _kustomization(folder)["images"]
    (pod,) = (pod for each in _overlay(overlay) if (pod := _pod(each)) is not None)

    assert [container["image"] for container in pod["containers"]] == [image["name"]] == ["fluxbase-cli"]
    assert image["newTag"].endswith("-kubectl") is pod["automountServiceAccountToken"]


@pytest.mark.parametrize("overlay", _OVERLAYS)
def test_every_pod_has_a_network_policy_and_takes_no_connections_but_those_of_prometheus(overlay: str) -> None:
    manifests = _overlay(overlay)
    (labels,) = (each["pairs"] for each in _kustomization(_FOLDER / "overlays" / overlay)["labels"])
    policies = [each["spec"] for each in manifests if each["kind"] == "NetworkPolicy"]
    closed = [each for each in policies if each["podSelector"]["matchLabels"] == labels]

    assert any({"Ingress", "Egress"} == set(each["policyTypes"]) and "ingress" not in each for each in closed)
    opened = [port["port"] for each in policies for rule in each.get("ingress", ()) for port in rule["ports"]]
    assert opened == (["metrics"] if overlay == "daemon" else [])


def test_prometheus_finds_the_port_on_which_the_daemon_listens() -> None:
    manifests = _overlay("daemon")
    deployment, service, monitor = (_only(manifests, kind) for kind in ("Deployment", "Service", "ServiceMonitor"))
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (port,) = container["ports"]
    (served,) = service["spec"]["ports"]
    (endpoint,) = monitor["spec"]["endpoints"]

    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    assert monitor["spec"]["selector"]["matchLabels"] == service["metadata"]["labels"]
    assert (endpoint["port"], endpoint["path"]) == (served["name"], "/metrics")
    assert served["targetPort"] == port["name"]
    assert container["args"][container["args"].index("--listen") + 1] == f"0.0.0.0:{port['containerPort']}"
    for probe in ("livenessProbe", "startupProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": port["name"]}


def test_the_cronjob_asks_often_and_never_twice_at_the_same_time() -> None:
    cronjob = _only(_overlay("scheduled"), "CronJob")
    (container,) = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]

    schedule = cronjob["spec"]["schedule"]
    parse_schedule(schedule, ZoneInfo("UTC"), "CronJob")
    assert re.fullmatch(r"\d{1,2} \* \* \* \*", schedule), "it asks every hour"
    assert cronjob["spec"]["concurrencyPolicy"] == "Forbid"
    # The commands of the crontab, which a test runs, and two options for the output.
    assert container["args"] == ["rotation", "run", "--log-format", "json", "-o", "json"]
