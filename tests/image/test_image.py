"""The Dockerfile and its lock files: what is pinned, who runs what, and what gets into the image.

A container engine is not needed here. `tests/image/steps.py` takes the steps themselves.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.image.dockerfile import Instruction, Stage, expanded, lineage, read_stages

_ROOT = Path(__file__).parents[2]
_DOCKERFILE = _ROOT / "Dockerfile"
_STAGES = read_stages(_DOCKERFILE)
#: What people build. The last one is built if nothing is named.
_TARGETS = ["kubectl", "docker", "daemon", "cli"]
_DIGEST = re.compile(r"^docker\.io/library/python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}$")
_LOCKS = ("build.txt", "demo.txt", "image.txt", "release.txt")


def _last(name: str, kind: str) -> Instruction:
    return [each for stage in lineage(_STAGES, name) for each in stage.having(kind)][-1]


def _project() -> dict[str, Any]:
    return tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_stages_are_those_that_the_pages_name() -> None:
    assert list(_STAGES) == ["build", "base", *_TARGETS]


def test_the_base_image_has_a_version_and_a_digest_and_is_the_same_in_all_stages() -> None:
    bases = {stage.base for stage in _STAGES.values() if stage.base not in _STAGES}

    (base,) = bases
    assert _DIGEST.match(base), base
    # So the label tells the truth.
    (label,) = (each for each in _STAGES["base"].having("LABEL"))
    assert f'org.opencontainers.image.base.name="{base.partition("@")[0]}"' in label.text


def test_every_program_from_another_image_is_of_a_named_version() -> None:
    origins = {
        each.flags["from"] for stage in _STAGES.values() for each in stage.having("COPY") if "from" in each.flags
    }

    assert origins - set(_STAGES)
    for origin in origins - set(_STAGES):
        assert re.search(r":v?\d+[\w.-]*$", origin), origin


def test_pip_installs_only_files_with_a_known_digest_or_the_wheel_that_was_just_built() -> None:
    commands = [
        part for step in _STAGES["build"].having("RUN") for part in step.text.split("&&") if " install " in part
    ]

    assert len(commands) == 3
    for command in commands:
        assert "--require-hashes" in command or "--no-index --no-deps /dist/" in command, command
    assert "PIP_ONLY_BINARY=:all:" in _STAGES["build"].having("ENV")[0].words


@pytest.mark.parametrize("target", _TARGETS)
def test_an_image_runs_without_a_shell_and_not_as_root(target: str) -> None:
    user = _last(target, "USER").text

    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    entry = _last(target, "ENTRYPOINT")
    assert entry.words == ["dumb-init", "--single-child", "--", "fluxbase-cli"]
    for kind in ("ENTRYPOINT", "CMD"):
        assert _last(target, kind).is_exec
    # After `base` nothing is run any more.
    assert [step for stage in lineage(_STAGES, target)[1:] for step in stage.having("RUN")] == []


def test_only_the_daemon_has_a_health_check_and_it_is_a_command_of_the_tool() -> None:
    checks = {name: stage.having("HEALTHCHECK") for name, stage in _STAGES.items()}

    (check,) = checks.pop("daemon")
    assert not any(checks.values())
    assert check.text.startswith("CMD [")
    words = json.loads(check.text.removeprefix("CMD "))
    assert words == ["fluxbase-cli", "rotation", "health"]
    done = subprocess.run(
        [sys.executable, "-m", "fluxbase_cli", *words[1:], "--help"], capture_output=True, check=False, text=True
    )
    assert (done.returncode, "--listen HOST:PORT" in done.stdout) == (0, True)
    # The command asks where the daemon listens.
    assert "FLUXBASE_CLI_LISTEN=0.0.0.0:9821" in _STAGES["daemon"].having("ENV")[0].words
    assert _last("daemon", "CMD").words == ["rotation", "daemon"]


def test_the_image_says_what_it_is() -> None:
    (label,) = _STAGES["base"].having("LABEL")

    keys = set(re.findall(r"org\.opencontainers\.image\.([\w.]+)=", label.text))
    assert keys >= {"title", "description", "licenses", "version", "revision", "created", "base.name"}
    declared = {each.text.partition("=")[0] for each in _STAGES["base"].having("ARG")}
    assert set(re.findall(r"\$\{(\w+)\}", label.text)) == declared == {"VERSION", "REVISION", "CREATED"}


def _copied(stage: Stage) -> Iterator[str]:
    for step in stage.having("COPY"):
        if "from" not in step.flags:
            yield from step.words[:-1]


def test_what_the_image_copies_is_there_and_nothing_else_is_sent_to_the_builder() -> None:
    lines = (_ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    copied = {name.rstrip("/") for stage in _STAGES.values() for name in _copied(stage)}

    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == copied
    assert all((_ROOT / name).exists() for name in copied)


def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), str(_DOCKERFILE)], capture_output=True, check=False, text=True
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


# --- Lock files -------------------------------------------------------------------------------------------------------


def _locked(name: str) -> dict[str, Version]:
    text = (_ROOT / "packaging" / name).read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, Version] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        pin, _, digests = line.partition("--hash=")
        requirement = Requirement(pin.strip())
        (exact,) = requirement.specifier
        assert exact.operator == "==", line
        assert re.fullmatch(r"sha256:[0-9a-f]{64}( +--hash=sha256:[0-9a-f]{64})*", digests.strip()), line
        found[canonicalize_name(requirement.name)] = Version(exact.version)
    return found


def _wanted(lock: str) -> Iterator[Requirement]:
    project = _project()
    lines = {
        "image.txt": project["project"]["dependencies"] + project["project"]["optional-dependencies"]["otel"],
        "demo.txt": project["project"]["dependencies"] + project["project"]["optional-dependencies"]["demo"],
        "build.txt": project["build-system"]["requires"],
        "release.txt": [],
    }[lock]
    more = (_ROOT / "packaging" / lock).with_suffix(".in")
    extra = more.read_text(encoding="utf-8").splitlines() if more.exists() else []
    yield from map(Requirement, [*lines, *(line for line in extra if line and not line.startswith("#"))])


@pytest.mark.parametrize("lock", _LOCKS)
def test_the_lock_file_agrees_with_pyproject_toml(lock: str) -> None:
    locked = _locked(lock)

    wrong = [
        str(each)
        for each in _wanted(lock)
        if canonicalize_name(each.name) not in locked or locked[canonicalize_name(each.name)] not in each.specifier
    ]
    assert wrong == [], "run `make lock`"


def test_the_lock_file_of_the_image_has_what_the_dependencies_need_themselves() -> None:
    locked = _locked("image.txt")
    pending, seen = [(each.name, extra) for each in _wanted("image.txt") for extra in ("", *each.extras)], set()
    while pending:
        name, extra = pending.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in metadata.requires(name) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                pending += [(requirement.name, each) for each in ("", *requirement.extras)]

    assert len(seen) > len(_project()["project"]["dependencies"])
    assert {canonicalize_name(name) for name, _ in seen} - set(locked) == set(), "run `make lock`"


def test_the_reader_of_the_dockerfile_replaces_variables() -> None:
    assert expanded("$A and ${B}: $C", {"A": "1", "B": "2"}) == "1 and 2: "
