"""The licenses of our dependencies must be compatible with ours (Apache-2.0)."""

from __future__ import annotations

import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement

_FITTING = re.compile(r"MIT|BSD|Apache|ISC|LGPL|Lesser General|PSF|Python Software|Mozilla|MPL", re.IGNORECASE)


def _runtime_dependencies() -> list[str]:
    pending, seen = ["fluxbase-cli"], set[str]()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        for line in metadata.requires(name) or ():
            requirement = Requirement(line)
            extras = {"extra": "binary"} if name == "psycopg" else {"extra": ""}
            if requirement.marker is None or requirement.marker.evaluate(extras):
                pending.append(requirement.name)
    return sorted(seen - {"fluxbase-cli"})


@pytest.mark.parametrize("name", _runtime_dependencies())
def test_the_license_of_a_dependency_is_compatible(name: str) -> None:
    fields = metadata.metadata(name)
    declared = [text[:200] for name in ("License-Expression", "License") for text in fields.get_all(name) or ()]
    declared += [line for line in fields.get_all("Classifier") or () if line.startswith("License")]
    assert any(_FITTING.search(text) for text in declared), declared
