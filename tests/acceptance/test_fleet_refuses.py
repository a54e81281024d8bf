"""`--fleet FILE`: what is refused before anything is touched?"""

from __future__ import annotations

import pytest

from tests.fixtures.command import Rotation
from tests.fixtures.fleet import AUDIT, RE_ENCRYPT, FleetBed, touched


@pytest.mark.parametrize(
    ("arguments", "variables", "option"),
    [
        (("--config", "eu/fluxbase.yaml"), {}, "--config"),
        ((), {"FLUXBASE_CLI_CONFIG": "eu/fluxbase.yaml"}, "--config"),
        (("--database-url", "postgresql://h/d"), {}, "--database-url"),
        ((), {"FLUXBASE_CLI_DATABASE_URL": "postgresql://u:database-password-marker@h/d"}, "--database-url"),
        (("--join",), {}, "--join"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    fleet: FleetBed, arguments: tuple[str, ...], variables: dict[str, str], option: str
) -> None:
    eu = fleet.add("eu", values=20)

    outcome = fleet.command.having(**variables)(*RE_ENCRYPT, *arguments)

    assert outcome.code == 2
    assert outcome.stderr.splitlines()[0].startswith(f"Error: {option} and --fleet can't go together: ")
    assert "marker" not in outcome.all
    assert not touched(eu)


def test_an_option_before_the_name_of_the_command_is_refused_too(fleet: FleetBed) -> None:
    fleet.add("eu")

    assert fleet.command("--config", "eu/fluxbase.yaml", *AUDIT).code == 2


def test_parallel_without_a_fleet_is_refused_as_an_option_and_ignored_as_a_variable(rotation: Rotation) -> None:
    rotation.seed(20)

    assert "--parallel needs --fleet" in rotation.command("secrets", "audit", "--parallel", "2").stderr
    assert rotation.command("secrets", "audit", FLUXBASE_CLI_PARALLEL="2").code == 0


def test_a_mistake_in_the_file_is_reported_before_anything_is_touched(fleet: FleetBed) -> None:
    eu = fleet.add("eu", values=20)
    fleet.file.write_text(f"{fleet.file.read_text()}paralell: 4\n")

    outcome = fleet.command(*RE_ENCRYPT)

    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith("Error: fleet.yaml has the unknown key 'paralell'\n")
    assert not touched(eu)
