"""Rules of the security check on versions. Today is 2026-11-26."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest

from fluxbase_cli.catalogue.releases import Release
from fluxbase_cli.security.database.release import read_release
from fluxbase_cli.security.database.roles import ApiRole, read_api_roles
from fluxbase_cli.security.database.session import DatabaseFacts
from fluxbase_cli.security.database.version import read_version
from fluxbase_cli.security.generation import Generation
from tests.fixtures.security import check


class Known(DatabaseFacts):
    """A database of which only versions are known."""

    def __init__(self, version: int = 180004, release: str = "2026.2.3 to 2026.3.6") -> None:
        roles = tuple(ApiRole(each, False, False, False, (), ()) for each in ("anon", "authenticated"))  # noqa: FBT003
        self._known = {read_version: version, read_release: Release(release, frozenset()), read_api_roles: roles}

    def read(self, reader: Any, *_arguments: Hashable) -> Any:  # what the reader returns
        return self._known[reader]


@pytest.mark.parametrize(
    ("version", "severities", "unchecked"),
    [
        (120022, ["high"], 0),
        (140023, ["high"], 0),  # until 2026-11-12
        (150017, ["low"], 0),
        (150018, [], 0),
        (180005, [], 0),
        (190000, [], 1),
    ],
)
def test_versions_of_postgresql(version: int, severities: list[str], unchecked: int) -> None:
    report = check("FB-DEP-001", database=Known(version=version), generation=Generation.STABLE)

    assert [each.severity.word for each in report.findings] == severities
    assert len(report.not_checked) == unchecked


@pytest.mark.parametrize(
    ("release", "severities"),
    [
        ("2026.1.4 to 2026.1.5", ["medium"]),
        ("2026.2.3-rc.1 to 2026.2.3-rc.2", ["medium"]),
        ("2026.2.3", []),
        ("2026.2.3 to 2026.3.6", []),
        ("2026.3.7-rc.11 or later", []),
        ("unknown", ["info"]),
    ],
)
def test_releases_of_the_server(release: str, severities: list[str]) -> None:
    report = check("FB-DEP-003", database=Known(release=release), generation=Generation.STABLE)

    assert [each.severity.word for each in report.findings] == severities
