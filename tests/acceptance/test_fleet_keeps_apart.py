"""`--fleet FILE`: what does an instance get, and what must not get from one instance to another?"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.fixtures.command import NEW_KEY, until
from tests.fixtures.fleet import AUDIT, RE_ENCRYPT, FleetBed, by_name, lock
from tests.fixtures.programs import needs_proc


def arguments_of(process: Path) -> str:
    """The arguments of a process, by its folder in /proc. Empty if the process has ended."""
    try:
        return (process / "cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def test_our_environment_does_not_decide_what_an_instance_does(fleet: FleetBed, closed_port: str) -> None:
    """The operator's shell has the keys and the database of a different instance."""
    eu = fleet.add("eu", values=40)
    stranger = NEW_KEY.hex()

    outcome = fleet.command(
        *RE_ENCRYPT,
        "-o",
        "json",
        NEW_SECRET_KEY=stranger,
        OLD_SECRET_KEY=stranger,
        FLUXBASE_SECRET_KEY_2=stranger,
        FLUXBASE_ENCRYPTION_KEY=stranger,
        FLUXBASE_DATABASE_URL=closed_port,
        FLUXBASE_DATABASE_HOST="192.0.2.1",
        FLUXBASE_SECURITY_ENCRYPTION_ACTIVE_KEY_VERSION="1",
        FLUXBASE_CLI_DEBUG="0",
        PGOPTIONS="-c default_transaction_read_only=on",
    )

    assert outcome.code == 0, outcome.all
    assert eu.versions == {2: 40}


def test_an_env_file_applies_only_to_its_instance(fleet: FleetBed) -> None:
    eu, us = fleet.add("eu", values=40), fleet.add("us", values=20)
    for member in (eu, us):
        (member.folder / ".env").rename(fleet.command.directory / f"{member.name}.env")
    fleet.write_file(eu={"env_file": "eu.env"}, us={"env_file": "us.env"})

    assert fleet.command(*RE_ENCRYPT).code == 0

    assert (eu.versions, us.versions) == ({2: 40}, {2: 20})


def test_the_env_file_is_looked_for_in_the_directory_of_the_instance(fleet: FleetBed) -> None:
    eu = fleet.add("eu", values=20)
    work = eu.folder / "deep" / "work"
    work.mkdir(parents=True)
    (eu.folder / ".env").rename(work / ".env")

    assert fleet.command(*AUDIT).code == 2
    fleet.write_file(eu={"directory": "eu/deep/work"})
    assert fleet.command(*AUDIT).code == 3


def test_python_files_in_the_directory_of_an_instance_are_not_run(fleet: FleetBed) -> None:
    eu = fleet.add("eu", values=20)
    for name in ("yaml", "psycopg", "fluxbase_cli", "typer"):
        (eu.folder / f"{name}.py").write_text("raise AssertionError('it was imported')\n")

    assert fleet.command(*AUDIT).code == 3


def test_options_reach_every_instance_as_arguments_or_as_variables(fleet: FleetBed) -> None:
    fleet.add("eu", values=20)
    variables = {
        "FLUXBASE_CLI_FLEET": str(fleet.file),
        "FLUXBASE_CLI_PARALLEL": "2",
        "FLUXBASE_CLI_DRY_RUN": "1",
        "FLUXBASE_CLI_TO_VERSION": "1",
        "FLUXBASE_CLI_OUTPUT": "json",
    }

    outcome = fleet.command.having(**variables)("secrets", "re-encrypt", "--from-version", "2")

    result = by_name(outcome.json)["eu"]["result"]
    assert (result["state"], result["from_version"], result["to_version"]) == ("dry-run", 2, 1)


def test_a_run_name_is_passed_on(fleet: FleetBed) -> None:
    """The second fleet of the same run reports the job of the first fleet, and begins none."""
    fleet.add("eu", values=20)

    jobs = [
        by_name(fleet.command(*RE_ENCRYPT, "--run-name", "monday", "-o", "json").json)["eu"]["result"]["job"]
        for _ in range(2)
    ]

    assert jobs == [1, 1]


@needs_proc
def test_the_arguments_of_a_process_hold_no_secret(fleet: FleetBed) -> None:
    eu = fleet.add("eu", values=20)
    with ExitStack() as locks:
        lock(locks, eu)
        with fleet.command.start(*RE_ENCRYPT, FLUXBASE_DATABASE_PASSWORD="database-password-marker") as running:
            until(eu.rotation.waits_for_a_lock, "the instance is at work")
            listed = [arguments for pid in Path("/proc").glob("[0-9]*") if (arguments := arguments_of(pid))]
            locks.close()
            assert running.finish().code == 0

    (line,) = [each for each in listed if f"--config={eu.folder / 'fluxbase.yaml'}" in each]
    assert "fluxbase_cli.cli.instance" in line
    assert "--yes" in line
    for secret in {*fleet.secrets(), eu.url}:
        assert secret not in line
