"""Configurations of well-kept servers raise no alarm, and the server's own samples raise those that they must."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fluxbase_cli.security.configuration.hosts import Reach, reach_of
from tests.fixtures.security import check, configuration_of

_DATA = Path(__file__).parents[1] / "data" / "security" / "configurations.yaml"
CONFIGURATIONS: list[dict[str, Any]] = yaml.safe_load(_DATA.read_text(encoding="utf-8"))


@pytest.mark.parametrize("each", CONFIGURATIONS, ids=lambda each: each["name"])
def test_a_well_kept_server_has_no_finding_of_medium_or_above(tmp_path: Path, each: dict[str, Any]) -> None:
    configuration = configuration_of(
        tmp_path,
        each.get("file"),
        each["variables"],
        release=each["release"],
        complete="FLUXBASE_AUTH_JWT_SECRET" in each["variables"],
    )
    address = configuration.public_address
    production = address is not None and reach_of(address[1].hostname or "") is not Reach.LOOPBACK

    report = check(configuration=configuration, production=production)

    assert [
        (finding.rule, finding.severity.word, str(finding.place), finding.found)
        for finding in report.findings
        if finding.severity.word not in ("low", "info")
    ] == []
    secrets = [value for name, value in each["variables"].items() if "SECRET" in name or "PASSWORD" in name]
    assert not any(secret in repr(report) for secret in secrets if secret != "postgres")


def test_there_are_two_dozen_configurations() -> None:
    assert len({each["name"] for each in CONFIGURATIONS}) >= 24
