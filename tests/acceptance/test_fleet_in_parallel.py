"""`--fleet FILE`: how many instances work at the same time?"""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.fixtures.command import until
from tests.fixtures.fleet import RE_ENCRYPT, FleetBed, lock, touched


@pytest.mark.parametrize("parallel", [1, 2])
def test_as_many_instances_work_at_the_same_time_as_asked_for(fleet: FleetBed, parallel: int) -> None:
    members = [fleet.add(name, values=20) for name in ("a", "b", "c")]
    with ExitStack() as locks:
        for member in members:
            lock(locks, member)
        with fleet.command.start(*RE_ENCRYPT, "--parallel", str(parallel)) as running:
            for member in members[:parallel]:
                until(member.rotation.waits_for_a_lock, f"{member.name} is at work")
            assert running.stderr.count(": started") == parallel
            assert not any(touched(member) for member in members[parallel:])
            locks.close()
            outcome = running.finish()

    assert outcome.code == 0
    assert outcome.stdout.splitlines()[-1] == "3 instances: 3 done"
