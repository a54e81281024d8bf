"""Takes the steps of the Dockerfile without a container engine: `python -m tests.image.steps BASE OUT`, as root.

BASE is a folder with a Debian and its Python, as debootstrap makes it. It stands for the base image, which comes from a
registry. OUT gets the file system of the image `cli`. docs/developers/testing.md says how to make and how to use both.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.image.dockerfile import Instruction, Stage, expanded, read_stages

_ROOT = Path(__file__).parents[2]
#: Of the base image.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class _Build:
    """One stage that is being built.

    Args:
        root: its file system.
        stages: the file systems of the stages before it.
    """

    def __init__(self, root: Path, stages: Mapping[str, Path]) -> None:
        self._root = root
        self._stages = stages
        self._folder = "/"
        self.environment = {"PATH": _PATH}
        self._arguments: dict[str, str] = {}

    def take(self, step: Instruction) -> None:
        """Take a step; what only describes the image changes nothing."""
        variables = self.environment | self._arguments
        match step.name:
            case "ARG":
                name, _, value = step.text.partition("=")
                self._arguments[name] = value
            case "ENV":
                for word in expanded(step.text, variables).split():
                    name, _, value = word.partition("=")
                    self.environment[name] = value
            case "WORKDIR":
                self._folder = step.text
                self._inside(step.text).mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(step)
            case "RUN":
                self._run(step.text, variables)
            case _:
                pass

    def _copy(self, step: Instruction) -> None:
        *sources, target = step.words
        origin = self._stages[step.flags["from"]] if "from" in step.flags else _ROOT
        for source in sources:
            found = origin / source.lstrip("/")
            place = self._inside(target)
            if found.is_dir():
                shutil.copytree(found, place, symlinks=True, dirs_exist_ok=True)
                continue
            if target.endswith("/"):
                place /= found.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, place)

    def _run(self, text: str, variables: Mapping[str, str]) -> None:
        command = ["chroot", str(self._root), "/bin/sh", "-e", "-c", f"cd {self._folder}; {text}"]
        subprocess.run(command, check=True, env=dict(variables))

    def _inside(self, path: str) -> Path:
        return self._root / (path if path.startswith("/") else f"{self._folder}/{path}").lstrip("/")


def build(base: Path, target: Stage, stages: Mapping[str, Stage], made: dict[str, Path], out: Path) -> dict[str, str]:
    """Build a stage.

    Args:
        base: the folder that stands for the base image.
        target: the stage.
        stages: all stages.
        made: the file systems of finished stages; the new one is added.
        out: where to put the file system.

    Returns:
        The variables of the image.
    """
    subprocess.run(["cp", "-a", str(base), str(out)], check=True)
    made[target.name] = out
    at_work = _Build(out, made)
    for step in target.instructions:
        print(f"{target.name}: {step.name} {step.text}", flush=True)
        at_work.take(step)
    return at_work.environment


def main() -> None:
    """Build the image `cli`."""
    base, out = (Path(each).resolve() for each in sys.argv[1:])
    stages = read_stages(_ROOT / "Dockerfile")
    made: dict[str, Path] = {}
    try:
        build(base, stages["build"], stages, made, out.with_name(f"{out.name}.build"))
        variables = build(base, stages["base"], stages, made, out)
    finally:
        shutil.rmtree(out.with_name(f"{out.name}.build"), ignore_errors=True)
    assert not stages["cli"].instructions
    print(" ".join(f"{name}={value}" for name, value in variables.items()))


if __name__ == "__main__":
    main()
