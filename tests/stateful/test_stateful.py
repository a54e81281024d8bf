"""Random stories of a database, its servers and its operator; an independent reader checks each step.

`FLUXBASE_TEST_STATEFUL_MINUTES` says how long it runs.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.machine import Machine
from tests.stateful.world import World

#: A few seconds in the ordinary suite, so that the code of these tests keeps working.
_MINUTES = float(os.environ.get("FLUXBASE_TEST_STATEFUL_MINUTES", "0.1"))
_SHRINK = [] if os.environ.get("FLUXBASE_TEST_STATEFUL_SHRINK") == "0" else [Phase.shrink]
_SETTINGS = settings(
    # A few seconds at a time, until the time is up.
    max_examples=5,
    stateful_step_count=25,
    # A step may be a whole job, and the machine may be busy.
    deadline=None,
    # Each example empties a database and fills it: this is slow, and smaller data would not change that.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
    # Shrinking a story can take five minutes. It is not needed to find out whether there is a fault.
    phases=[Phase.reuse, Phase.generate, *_SHRINK],
)


@pytest.mark.stateful
def test_any_story_ends_with_every_value_where_it_must_be(
    fluxbase_database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(fluxbase_database, tmp_path)
    began, ends = time.monotonic(), time.monotonic() + 60 * _MINUTES
    examples = 0

    class Counted(Machine):
        def __init__(self) -> None:
            nonlocal examples
            examples += 1
            super().__init__(world)

    try:
        while True:
            run_state_machine_as_test(Counted, settings=_SETTINGS)
            if time.monotonic() > ends:
                break
    finally:
        world.close()
        with capsys.disabled():
            print(f"\n{examples} stories in {time.monotonic() - began:.0f}s")  # noqa: T201
