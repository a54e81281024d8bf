"""The workflows in `.github/workflows`: what they run is pinned, and they try all that the project supports."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

_ROOT = Path(__file__).parents[2]
_FOLDER = _ROOT / ".github" / "workflows"
_FILES = sorted(_FOLDER.glob("*.yml"))
_PINNED = re.compile(r"^\s*(?:- )?uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def _jobs(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((_FOLDER / name).read_text(encoding="utf-8"))["jobs"])


@pytest.mark.parametrize("file", _FILES, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit_and_says_its_version(file: Path) -> None:
    uses = [line for line in file.read_text(encoding="utf-8").splitlines() if "uses:" in line]

    assert uses
    assert [line for line in uses if not _PINNED.match(line)] == []


def test_an_action_has_the_same_version_everywhere() -> None:
    found = {
        (name, pin)
        for file in _FILES
        for name, pin in re.findall(r"uses: ([\w./-]+)@(.*)", file.read_text(encoding="utf-8"))
    }

    assert len({name for name, _ in found}) == len(found)


@pytest.mark.parametrize("file", _FILES, ids=lambda path: path.name)
def test_nothing_has_rights_that_its_job_does_not_name(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text(encoding="utf-8"))

    assert workflow["permissions"] == {}
    assert all(job["permissions"] and job["timeout-minutes"] for job in workflow["jobs"].values())


@pytest.mark.parametrize("file", _FILES, ids=lambda path: path.name)
def test_the_workflows_have_the_form_that_github_needs(file: Path) -> None:
    line = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(file)]

    done = subprocess.run(line, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_tests_run_with_every_version_that_is_supported() -> None:
    jobs = _jobs("checks.yml")
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = [each.rpartition(" ")[2] for each in project["classifiers"] if re.search(r"Python :: 3\.\d+$", each)]

    assert jobs["python"]["strategy"]["matrix"]["python"] == versions
    assert project["requires-python"] == f">={versions[0]}"
    assert jobs["postgresql"]["strategy"]["matrix"]["postgresql"] == ["15", "16", "17", "18"]


def test_a_release_is_published_only_after_it_was_built_twice_and_attested_and_without_a_password() -> None:
    jobs = _jobs("release.yml")

    assert jobs["attest"]["needs"] == "build"
    assert jobs["pypi"]["needs"] == jobs["image"]["needs"] == "attest"
    assert any("diff" in step.get("run", "") for step in jobs["build"]["steps"])
    (publish,) = (step for step in jobs["pypi"]["steps"] if "pypi-publish" in step["uses"])
    assert "with" not in publish
    assert jobs["pypi"]["permissions"] == {"id-token": "write"}


def test_every_image_is_a_target_of_the_dockerfile() -> None:
    targets = [each["target"] for each in _jobs("release.yml")["image"]["strategy"]["matrix"]["include"]]
    dockerfile = (_ROOT / "Dockerfile").read_text(encoding="utf-8")

    assert sorted(targets) == sorted(re.findall(r"docker build --target (\w+) \.", dockerfile))
    assert all(f" AS {target}\n" in dockerfile for target in targets)
