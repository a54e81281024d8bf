"""Sealed values do not get into the server's log, however much it logs; where they would, the operator is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fluxbase_cli.demo.server import EmbeddedServer
from fluxbase_cli.store.connection import connect
from fluxbase_cli.store.preflight import inspect
from tests.fixtures.embedded import PostgresServer
from tests.fixtures.fluxbase import SECRETS, TABLES, Fluxbase, Role, fill

#: What a superuser may set so that the server logs all that it can.
_EVERYTHING = {
    "log_min_duration_statement": "0",
    "log_statement": "all",
    "log_parameter_max_length_on_error": "-1",
    "debug_print_plan": "on",
    "debug_print_parse": "on",
}
#: A part of a seal that no other text has. An error shows the first 64 characters of a value.
_PART = slice(4, 40)
_SEAL = re.compile("[A-Za-z0-9+/]{40,}={0,2}")


@dataclass
class Log:
    """The log of the server since the test began.

    Attributes:
        path: the file.
        start: its size at that time, in bytes.
    """

    path: Path
    start: int

    def read(self) -> str:
        """What was logged since the last call."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            text = file.read().decode("utf-8", "replace")
            self.start = file.tell()
        return text

    def seals(self, flux: Fluxbase, old: set[str]) -> int:
        """How many sealed values, the old ones and those of now, have appeared since the last call."""
        text = self.read()
        assert "fluxbase_rotation.job" in text, "the server logs nothing"
        return sum(seal[_PART] in text for seal in old | stored(flux))


def stored(flux: Fluxbase) -> set[str]:
    """All sealed values. Plaintext and what is too short for a seal is left out."""
    return {text for text, _ in flux.stored().values() if _SEAL.fullmatch(text)}


@pytest.fixture
def talkative(flux: Fluxbase) -> Iterator[Fluxbase]:
    """A database with values, in whose sessions the server logs all that it can."""
    fill(flux)
    flux.secrets(20)
    flux.close()
    name = flux.value("SELECT current_database()")
    for setting, value in _EVERYTHING.items():
        flux.rows(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'")
    yield flux
    flux.rows(f'ALTER DATABASE "{name}" RESET ALL')


@pytest.fixture
def log(postgres_server: PostgresServer, talkative: Fluxbase) -> Log:
    """The log, from after the values were written."""
    if not isinstance(postgres_server, EmbeddedServer):
        pytest.skip("the log of another server can't be read")
    assert talkative.value("SHOW log_statement") == "all"
    return Log(postgres_server.log, postgres_server.log.stat().st_size)


@pytest.fixture
def operator(talkative: Fluxbase, role: Role) -> Role:
    """A role that may do a job, and may not change what is logged."""
    talkative.rows(f"ALTER ROLE {role.name} BYPASSRLS")
    talkative.rows(f"GRANT USAGE ON SCHEMA functions, app, platform, auth, branching TO {role.name}")
    talkative.rows(f"GRANT SELECT, UPDATE ON {', '.join(TABLES)} TO {role.name}")
    talkative.rows(f'GRANT CREATE ON DATABASE "{talkative.value("SELECT current_database()")}" TO {role.name}')
    talkative.rows(f"GRANT SET ON PARAMETER session_replication_role TO {role.name}")
    return role


def test_a_superuser_keeps_sealed_values_out_of_the_log(talkative: Fluxbase, log: Log) -> None:
    old = stored(talkative)

    report = talkative.run()

    assert report.total.re_encrypted > 20
    assert not [warning for warning in report.warnings if "log" in warning]
    assert log.seals(talkative, old) == 0


def test_a_role_that_may_not_change_what_is_logged_is_told_the_remedy(
    talkative: Fluxbase, log: Log, operator: Role
) -> None:
    old = stored(talkative)
    with connect(operator.database) as connection:
        told = next(each for each in inspect(connection, write=True).findings if each.check == "log")

    report = talkative.run(database=operator.database)

    assert "log_min_duration_statement = 0, log_statement = all" in told.message
    assert told.message in report.warnings
    assert log.seals(talkative, old) > 20
    for statement in re.findall(r"GRANT [^;]*;", told.remedy or ""):
        talkative.rows(statement)
    between = stored(talkative)
    log.read()
    report = talkative.run(database=operator.database, source=2, target=1)
    assert report.total.re_encrypted > 20
    assert told.message not in report.warnings
    assert log.seals(talkative, between) == 0


def test_an_error_does_not_show_the_contents_of_a_row(talkative: Fluxbase, log: Log) -> None:
    table = SECRETS.rpartition(".")[0]
    talkative.rows(f"ALTER TABLE {table} ADD CONSTRAINT never CHECK (length(encrypted_value) < 1) NOT VALID")
    old = stored(talkative)
    log.read()

    talkative.run()

    text = log.read()
    assert 'violates check constraint "never"' in text
    assert "Failing row contains" not in text
    assert not [seal for seal in old if seal[_PART] in text]


def test_a_check_that_may_fail_is_told_to_a_role_that_can_not_hide_the_row(talkative: Fluxbase, operator: Role) -> None:
    name = talkative.value("SELECT current_database()")
    talkative.rows(f'ALTER DATABASE "{name}" RESET ALL')
    table = SECRETS.rpartition(".")[0]
    with connect(operator.database) as connection:
        assert not [each for each in inspect(connection, write=True).findings if each.check == "log"]
        talkative.rows(f"ALTER TABLE {table} ADD CONSTRAINT never CHECK (length(encrypted_value) < 1) NOT VALID")
        (told,) = [each for each in inspect(connection, write=True).findings if each.check == "log"]
    assert "never on functions.secrets" in told.message
    assert "GRANT SET ON PARAMETER log_error_verbosity" in (told.remedy or "")
