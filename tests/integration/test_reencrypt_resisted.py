"""A re-encryption is never called a success if the database undoes, changes or refuses what it writes."""

from __future__ import annotations

import pytest

from fluxbase_cli.errors import ExitCode
from tests.fixtures.comparing import spots
from tests.fixtures.fluxbase import OLD, SECRETS, Fluxbase, Spot, seal


def make_trigger(flux: Fluxbase, body: str) -> None:
    flux.rows(f"CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
    flux.rows(
        "CREATE TRIGGER meddle BEFORE UPDATE ON functions.secrets FOR EACH ROW EXECUTE FUNCTION public.meddle();"
        "ALTER TABLE functions.secrets ENABLE ALWAYS TRIGGER meddle"
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("RETURN NULL;", id="refuses the update"),
        pytest.param("NEW.encrypted_value := OLD.encrypted_value; RETURN NEW;", id="puts the old value back"),
        pytest.param("IF NEW.description = 'held' THEN RETURN NULL; END IF; RETURN NEW;", id="refuses one row"),
    ],
)
def test_a_job_is_not_a_success_if_a_trigger_undoes_its_writes(flux: Fluxbase, body: str) -> None:
    rows = flux.secrets(3)
    flux.rows("UPDATE functions.secrets SET description = 'held' WHERE id = %s", rows[1])
    make_trigger(flux, body)
    report = flux.run(allow_triggers=True)
    left = sum(each.versions == (1,) for each in flux.everything().values())
    assert left in (1, 3)
    assert (report.state, report.remaining) == ("failed", left)
    assert report.exit_code == ExitCode.FAILED


def test_a_trigger_that_damages_what_we_write_is_reported(flux: Fluxbase) -> None:
    rows = flux.secrets(3)
    make_trigger(flux, "NEW.encrypted_value := 'spoiled'; RETURN NEW;")
    report = flux.run(allow_triggers=True)
    assert spots(report) == {Spot(SECRETS, row, ()) for row in rows}
    assert report.exit_code != ExitCode.DONE


def test_it_is_found_when_a_trigger_seals_under_the_old_key_again(flux: Fluxbase) -> None:
    flux.secrets(2)
    back = seal(OLD, "from the trigger")
    make_trigger(flux, f"NEW.encrypted_value := '{back}'; RETURN NEW;")
    report = flux.run(allow_triggers=True)
    assert (report.state, report.remaining) == ("failed", 2)


def test_an_error_of_the_server_is_reported_without_a_value(flux: Fluxbase) -> None:
    stored = seal(OLD, "a very secret plaintext")
    flux.secret(stored)
    flux.rows(f"ALTER TABLE functions.secrets ADD CHECK (encrypted_value = '{stored}')")
    report = flux.run()
    assert (report.state, report.exit_code) == ("completed", ExitCode.UNDECRYPTABLE_LEFT)
    assert "CheckViolation" in report.quarantine[0].reason
    output = f"{report}" + "".join(
        str(flux.rows(f"SELECT * FROM fluxbase_rotation.{name}")) for name in ("job", "event", "quarantine")
    )
    assert stored not in output
    assert "very secret" not in output
    assert flux.everything()[next(iter(flux.stored()))].versions == (1,)
