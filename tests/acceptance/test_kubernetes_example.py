"""The Job of `examples/kubernetes`: its identical pods share one job of the tool."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import kubernetes_validate
import psycopg
import pytest
import yaml

from tests.faults.reader import read
from tests.fixtures.command import Command, Rotation, until

_JOB = Path(__file__).parents[2] / "examples" / "kubernetes" / "overlays" / "re-encrypt" / "job.yaml"
_UID = "2f1b6c1e-9a44-4d55-8a51-6f0b43f5a7d1"


def manifest() -> Any:
    return yaml.safe_load(_JOB.read_text())


#: The oldest version whose API has everything in the manifest as stable, and the newest known version.
@pytest.mark.parametrize("version", ["1.31", kubernetes_validate.latest_version()])
def test_kubernetes_accepts_the_manifest(version: str) -> None:
    kubernetes_validate.validate(manifest(), version, strict=True)
    for wrong in ({"parallelism": "three"}, {"paralelism": 3}):
        spoiled = copy.deepcopy(manifest())
        spoiled["spec"] |= wrong
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(spoiled, version, strict=True)


def container() -> Any:
    (only,) = manifest()["spec"]["template"]["spec"]["containers"]
    return only


def pod(rotation: Rotation) -> tuple[Command, list[str]]:
    """What a pod runs, with the environment that Kubernetes would give it."""
    variables = {}
    for each in container()["env"]:
        assert each["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['batch.kubernetes.io/controller-uid']"
        variables[each["name"]] = _UID
    # The image's own entry point passes signals on.
    assert "command" not in container()
    return rotation.command.having(**variables), container()["args"]


@contextmanager
def locked(rotation: Rotation, statement: str, *arguments: int) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(rotation.url) as blocker:
        blocker.execute(statement.encode(), arguments)
        yield blocker


def test_three_pods_that_begin_at_the_same_time_share_one_job_and_a_late_one_finds_it_done(rotation: Rotation) -> None:
    rotation.seed(2000)
    command, args = pod(rotation)
    pods = manifest()["spec"]["parallelism"]
    with (
        # So no pod sees another one during its preparation, and none is done before all work.
        locked(rotation, "SELECT pg_advisory_xact_lock(%s, 0)", 0x666C7578) as begun,
        locked(rotation, "SELECT FROM functions.secrets FOR UPDATE") as written,
        ExitStack() as stack,
    ):
        running = [stack.enter_context(command.start(*args)) for _ in range(pods)]
        until(
            lambda: rotation.value(
                "SELECT count(*) = %s FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'fluxbase-cli' AND wait_event_type = 'Lock'",
                pods,
            ),
            "all are prepared",
        )
        begun.rollback()
        until(
            lambda: (
                rotation.value("SELECT to_regclass('fluxbase_rotation.runner') IS NOT NULL")
                and rotation.value("SELECT count(*) FROM fluxbase_rotation.runner") == pods
            ),
            "all are at work",
        )
        written.rollback()
        outcomes = [each.finish() for each in running]
    late = command(*args)

    for outcome in (*outcomes, late):
        assert outcome.code == 0, outcome.all
        assert "✓ Re-encrypted 1700 secrets (already using new key: 300)" in outcome.stdout
    # A job that began a moment ago has no active worker yet. So joining it means to resume it.
    began = [not re.search(r"(Joining|Resuming) job 1: \d+% done", outcome.stderr) for outcome in outcomes]
    assert sorted(began) == [False, False, True]
    assert "Job 1 of this run is completed; nothing is left to do" in late.stderr
    assert rotation.rows("SELECT id, state FROM fluxbase_rotation.job") == [(1, "completed")]
    assert read(rotation.url).versions == {2: 2000}


def test_a_restarted_pod_does_not_undo_a_rollback(rotation: Rotation) -> None:
    rotation.seed(20)
    command, args = pod(rotation)
    assert command(*args).code == 0
    assert rotation.command("secrets", "rollback", "--to-version", "1", "--reason", "test").code == 0

    again = command(*args)

    assert again.code == 0
    assert read(rotation.url).versions == {1: 20}
