"""The example for CI in `examples/four-eyes`: one job plans, somebody approves, another job does exactly that."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import yaml

from tests.fixtures.command import NEW_KEY, OLD_KEY, Rotation

_EXAMPLE = Path(__file__).parents[2] / "examples" / "four-eyes"


def test_the_two_jobs_move_the_values_and_the_second_refuses_what_was_not_approved(
    rotation: Rotation, tmp_path: Path
) -> None:
    rotation.seed(40)
    program = tmp_path / "bin" / "fluxbase-cli"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m fluxbase_cli "$@"\n')
    program.chmod(0o755)
    pipeline = yaml.safe_load((_EXAMPLE / "gitlab-ci.yml").read_text())
    environment = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "FLUXBASE_DATABASE_URL": rotation.url,
        "FLUXBASE_SECRET_KEY_1": OLD_KEY.hex(),
        "FLUXBASE_SECRET_KEY_2": NEW_KEY.hex(),
        **pipeline["variables"],
    }
    # What the pipeline hands on from one job to the other.
    assert pipeline["plan"]["artifacts"]["paths"] == ["plan.json"]
    assert pipeline["apply"]["when"] == "manual"

    def job(name: str) -> subprocess.CompletedProcess[str]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for file in _EXAMPLE.glob("*.sh"):
            shutil.copy(file, folder)
        for line in pipeline[name]["script"]:
            done = subprocess.run(
                line.split(), cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
        return done

    planned = job("plan")
    assert planned.returncode == 0, planned.stderr
    assert '"digest": "sha256:' in planned.stdout
    assert "PLAN_DIGEST" in job("apply").stderr
    environment["PLAN_DIGEST"] = json.loads((tmp_path / "plan" / "plan.json").read_text())["digest"]
    shutil.copy(tmp_path / "plan" / "plan.json", tmp_path / "apply")

    with psycopg.connect(rotation.url, autocommit=True) as connection:
        # A hundred and one rows more than were approved.
        connection.execute(
            "INSERT INTO functions.secrets (name, encrypted_value)"
            " SELECT 'MORE_' || n, encrypted_value FROM generate_series(1, 101) AS n,"
            " (SELECT encrypted_value FROM functions.secrets LIMIT 1) AS s"
        )
        refused = job("apply")
        assert refused.returncode == 3
        assert '"state": "refused"' in (tmp_path / "apply" / "result.json").read_text()
        connection.execute("DELETE FROM functions.secrets WHERE name LIKE 'MORE_%'")

    applied = job("apply")
    assert applied.returncode == 0, applied.stderr
    assert applied.stdout.startswith("No secrets found encrypted with key version 1\n")
