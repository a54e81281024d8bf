"""What may happen: writes, jobs and what disturbs them, as Hypothesis generates them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hypothesis import strategies as st

from fluxbase_cli.engine.events import Step
from fluxbase_cli.store.limits import Limits
from tests.stateful.writer import Cell, How, What, Write

#: More than the steps of a job over a seeded database.
_LAST_STEP = 160
#: Versions that a run may reach.
MOST_VERSIONS = 5


class Fate(Enum):
    """What ends or disturbs a job."""

    NOTHING = "nothing"
    KILLED = "its process is killed"
    STOPPED = "it is asked to stop"
    CUT = "its connections are cut"
    OVERTAKEN = "it sleeps beyond its leases, and another process does its work"


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """A write of another client at a step of a job.

    Attributes:
        at: the step; the write waits for the next step at which a writer can get its locks.
        write: what is written.
        here: whether it comes between the reading and the writing of a batch of its table instead.
    """

    at: int
    write: Write
    here: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a job: a step, or the beginning of a pass, after so many others of the same kind."""

    step: Step | None
    behind: int


@dataclass(frozen=True, slots=True)
class Run:
    """How a job is run, and what happens meanwhile.

    Attributes:
        fate: what ends or disturbs it.
        at: when that happens.
        meanwhile: what others write.
        each_time: a write to another row and column between the reading and the writing of each batch, in its table.
        limits, workers: the options of the job.
        held_ends_at: the step at which the open transaction ends, if there is one.
        held_commits: whether it commits.
        other_stops_at: the step at which the process stops that took over; None where it does all that is left.
    """

    fate: Fate
    at: Moment
    meanwhile: tuple[Meanwhile, ...]
    each_time: Write | None
    limits: Limits
    workers: int
    held_ends_at: int
    held_commits: bool
    other_stops_at: int | None = None


# Mostly what a server does; each of the other kinds often enough to occur together with the rest.
_HOWS = st.sampled_from([*[How.SERVER] * 4, *[How.STALE] * 6, *How])
_CELLS = st.builds(Cell, _HOWS, st.integers(0, 4))
NUMBERS = st.integers(0, 30)
_THREE_CELLS = st.lists(_CELLS, min_size=3, max_size=3).map(tuple)
WRITES = st.builds(
    Write,
    st.sampled_from(What),
    table=NUMBERS,
    row=NUMBERS,
    cells=_THREE_CELLS,
    column=st.integers(0, 5),
    flag=st.sampled_from([True, True, False, None]),
)
_STEPS = st.integers(0, _LAST_STEP)
LIMITS = st.sampled_from([Limits(2, 1 << 20), Limits(3, 1 << 20), Limits(1000, 1 << 20)])
_MEANWHILE = st.lists(st.builds(Meanwhile, _STEPS, WRITES, st.sampled_from([True, True, True, False])), max_size=4).map(
    tuple
)
_EACH_TIME = st.none() | st.builds(
    Write,
    st.sampled_from([What.UPDATE, What.UPDATE, What.RETURN]),
    table=st.just(0),
    row=NUMBERS,
    cells=_THREE_CELLS,
    column=st.integers(0, 5),
)
# Each kind of step occurs at least once for each table, except in a catch-up pass.
_OTHER_STOPS_AT = st.none() | st.integers(1, 15)
_MOMENTS = st.one_of(
    st.builds(Moment, st.just(None), st.integers(0, 2)),
    st.builds(Moment, st.sampled_from(Step), st.integers(0, 12)),
    st.builds(Moment, st.sampled_from(Step), st.integers(0, 12)),
)
RUNS = st.builds(
    Run,
    st.sampled_from([Fate.NOTHING, Fate.NOTHING, Fate.KILLED, Fate.KILLED, Fate.STOPPED, Fate.CUT, Fate.OVERTAKEN]),
    _MOMENTS,
    _MEANWHILE,
    _EACH_TIME,
    LIMITS,
    st.sampled_from([1, 1, 2]),
    _STEPS,
    st.booleans(),
    _OTHER_STOPS_AT,
)
QUIET_RUNS = st.builds(
    Run,
    st.sampled_from([Fate.NOTHING, Fate.NOTHING, Fate.KILLED, Fate.STOPPED, Fate.CUT, Fate.OVERTAKEN]),
    _MOMENTS,
    st.just(()),
    st.none(),
    LIMITS,
    st.just(1),
    st.just(0),
    st.booleans(),
    _OTHER_STOPS_AT,
)
#: Runs of which most do not end normally.
BROKEN_RUNS = st.builds(
    Run,
    st.sampled_from([Fate.KILLED, Fate.KILLED, Fate.STOPPED, Fate.CUT, Fate.OVERTAKEN]),
    _MOMENTS,
    _MEANWHILE | st.just(()),
    st.none() | _EACH_TIME,
    LIMITS,
    st.sampled_from([1, 1, 2]),
    _STEPS,
    st.booleans(),
    _OTHER_STOPS_AT,
)
VERSIONS = st.integers(0, MOST_VERSIONS)
# Mostly the version under which the fewest values are, so that there is work to do.
TARGETS = st.sampled_from([0, 0, 0, 1, 2])
