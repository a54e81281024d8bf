"""Reads a Dockerfile: its stages, and the instructions of each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_FLAG = re.compile(r"--([\w-]+)=(\S+)\s+")
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Attributes:
        name: `RUN`, `COPY` and so on.
        flags: of the instruction itself, such as `--from`.
        text: what follows, with its lines joined.
    """

    name: str
    flags: Mapping[str, str]
    text: str

    @property
    def words(self) -> list[str]:
        """The words of a list in JSON, or of the text."""
        if self.text.startswith("["):
            return list(json.loads(self.text))
        return self.text.split()

    @property
    def is_exec(self) -> bool:
        """Whether it is run without a shell."""
        return self.text.startswith("[")


@dataclass(frozen=True, slots=True)
class Stage:
    """What follows one `FROM`.

    Attributes:
        name: the name behind `AS`.
        base: an image, or the name of another stage.
        instructions: those after `FROM`.
    """

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def having(self, name: str) -> list[Instruction]:
        """The instructions of a kind."""
        return [each for each in self.instructions if each.name == name]


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """A text in which variables are replaced."""
    return _VARIABLE.sub(lambda match: variables.get(match[1] or match[2], ""), text)


def read_stages(path: Path) -> dict[str, Stage]:
    """The stages of a Dockerfile, in their order."""
    stages: dict[str, Stage] = {}
    arguments: dict[str, str] = {}
    current: Stage | None = None
    for each in _instructions(path.read_text(encoding="utf-8")):
        if each.name == "FROM":
            base, _as, name = expanded(each.text, arguments).split()
            current = stages[name] = Stage(name, base)
        elif current is None:
            name, _, value = each.text.partition("=")
            arguments[name] = value
        else:
            current.instructions.append(each)
    return stages


def lineage(stages: Mapping[str, Stage], name: str) -> list[Stage]:
    """A stage and those that it is built from, the first one first."""
    stage = stages[name]
    return [*(lineage(stages, stage.base) if stage.base in stages else []), stage]


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line.strip() for line in text.splitlines()]
    joined = " ".join(
        line if line.endswith("\\") else f"{line}\n" for line in lines if line and not line.startswith("#")
    )
    for line in joined.replace("\\ ", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        flags: dict[str, str] = {}
        # The flags of HEALTHCHECK stand before CMD, like those of others before their words.
        while found := _FLAG.match(rest):
            flags[found[1]] = found[2]
            rest = rest[found.end() :]
        yield Instruction(name, flags, re.sub(r"\s+", " ", rest))
