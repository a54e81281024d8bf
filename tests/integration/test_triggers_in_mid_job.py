"""A trigger that appears while a job runs, and prevents our writes or undoes them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fluxbase_cli.engine.events import Step
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.errors import ExitCode
from tests.fixtures.fluxbase import Fluxbase, Watching

_HELD = "held by the trigger"

REFUSES_ALL = "RETURN NULL;"
REFUSES_ONE = f"IF NEW.description = '{_HELD}' THEN RETURN NULL; END IF; RETURN NEW;"
PUTS_BACK_ALL = "NEW.encrypted_value := OLD.encrypted_value; RETURN NEW;"
PUTS_BACK_ONE = f"IF NEW.description = '{_HELD}' THEN NEW.encrypted_value := OLD.encrypted_value; END IF; RETURN NEW;"


def old_values(flux: Fluxbase) -> int:
    """How many values are still under the old key."""
    return sum(1 in each.versions for each in flux.everything().values())


def make_trigger(flux: Fluxbase, body: str) -> None:
    """A trigger that also fires for our writes."""
    flux.rows(f"CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
    flux.rows(
        "CREATE TRIGGER meddle BEFORE UPDATE ON functions.secrets FOR EACH ROW EXECUTE FUNCTION public.meddle();"
        "ALTER TABLE functions.secrets ENABLE ALWAYS TRIGGER meddle"
    )


def drop_trigger(flux: Fluxbase) -> None:
    flux.rows("DROP FUNCTION public.meddle() CASCADE")


def run_with(flux: Fluxbase, step: Step, *actions: Callable[[], object]) -> JobReport:
    """Run a job, with one action for each of its first batches when they reach a step."""
    left = iter(actions)

    def act() -> None:
        next(left)()

    meddler = Watching(step, act, table="functions.secrets", times=len(actions))
    report = flux.run(observer=meddler)
    assert meddler.acted
    return report


@pytest.fixture
def six(flux: Fluxbase) -> Fluxbase:
    """Two batches of three values. The last row is one that the triggers act on."""
    rows = flux.secrets(6)
    flux.rows("UPDATE functions.secrets SET description = %s WHERE id = %s", _HELD, rows[5])
    return flux


@pytest.mark.parametrize(
    ("body", "left"),
    [
        pytest.param(REFUSES_ALL, 3, id="refuses the second batch"),
        pytest.param(REFUSES_ONE, 1, id="refuses a row of the second batch"),
        pytest.param(PUTS_BACK_ALL, 3, id="puts the old values of the second batch back"),
        pytest.param(PUTS_BACK_ONE, 1, id="puts an old value of the second batch back"),
    ],
)
def test_a_job_is_not_a_success_if_a_trigger_appears_while_it_runs(six: Fluxbase, body: str, left: int) -> None:
    """Preflight saw no trigger. So only the write can show that rows were not written."""
    report = run_with(six, Step.COMMITTED, lambda: make_trigger(six, body))

    assert old_values(six) == left
    assert (report.state, report.remaining, report.exit_code) == ("failed", left, ExitCode.FAILED)
    drop_trigger(six)
    again = six.run()
    assert (again.state, again.remaining, old_values(six)) == ("completed", 0, 0)


@pytest.mark.parametrize("body", [REFUSES_ALL, REFUSES_ONE])
def test_what_a_trigger_refused_for_a_while_is_done_by_the_catch_up_pass(six: Fluxbase, body: str) -> None:
    """The trigger is gone when the catch-up pass begins. The rows are as old as before; no writer changed them."""
    report = run_with(six, Step.COMMITTED, lambda: make_trigger(six, body), lambda: drop_trigger(six))

    assert (report.state, report.remaining, old_values(six)) == ("completed", 0, 0)
    assert report.total.re_encrypted == report.total.updated == 6
