"""The state machine: writers, jobs, their deaths, rollbacks, destroys and audits in any order, against the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fluxbase_cli.engine.goal import Goal as EngineGoal
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.keys.destroy_request import DestroyOutcome, DestroyRequest
from fluxbase_cli.keys.history import KeyState
from fluxbase_cli.seal import fingerprint
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.records import JobKind
from tests.stateful.disturbing import Disturbance
from tests.stateful.jobs import AtStep, Ending, Word, run_job
from tests.stateful.layouts import MAIN, STABLE
from tests.stateful.model import Goal, Job, Model
from tests.stateful.reader import Layers, Spot, key_of
from tests.stateful.seeds import SEEDS
from tests.stateful.strategies import (
    BROKEN_RUNS,
    LIMITS,
    MOST_VERSIONS,
    NUMBERS,
    QUIET_RUNS,
    RUNS,
    TARGETS,
    VERSIONS,
    WRITES,
    Fate,
    Moment,
    Run,
)
from tests.stateful.world import WRITERS_WAIT_S, World
from tests.stateful.writer import Cell, How, What, Write


class Machine(RuleBasedStateMachine):
    """See the module's docstring.

    Args:
        world: the database.
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.model = Model(MAIN)
        self._allowed: Mapping[Spot, frozenset[Layers]] = {}

    @initialize(stable=st.booleans())
    def begin(self, stable: bool) -> None:  # noqa: FBT001  # a rule's argument
        """An empty database, and a handful of rows in every table."""
        self.model.layout = STABLE if stable else MAIN
        self.world.reset(self.model)
        self.world.write(self.model, SEEDS)

    @invariant()
    def every_value_is_what_the_model_says(self) -> None:
        """The only check: by an independent reader, after every step."""
        self.model.compare(self.world.read(), self._allowed)
        self._allowed = {}

    def teardown(self) -> None:
        """Leave no transaction open."""
        if self.world.held is not None:
            self.world.end_held(self.model, commit=False)

    # --- writers --------------------------------------------------------------------------------------------------

    @rule(writes=st.lists(WRITES, min_size=1, max_size=3).map(tuple))
    def write(self, writes: tuple[Write, ...]) -> None:
        """Servers write."""
        self.world.write(self.model, writes)

    @rule(version=VERSIONS)
    def restart_the_server(self, version: int) -> None:
        """The server is started with another key."""
        self.model.server = self._pick(version)

    @precondition(lambda self: self.world.held is None)
    @rule(writes=st.lists(WRITES, min_size=1, max_size=3).map(tuple))
    def begin_a_transaction(self, writes: tuple[Write, ...]) -> None:
        """A writer begins a transaction and keeps it open during the next rules."""
        self.world.hold(self.model, writes)

    @precondition(lambda self: self.world.held is not None)
    @rule(commit=st.booleans())
    def end_the_transaction(self, commit: bool) -> None:  # noqa: FBT001  # a rule's argument
        """The writer commits, or rolls back."""
        self.world.end_held(self.model, commit=commit)

    @rule(table=NUMBERS, how=st.sampled_from(["VACUUM", "VACUUM (FULL)", "CLUSTER", "REINDEX TABLE", "REWRITE"]))
    def maintain_a_table(self, table: int, how: str) -> None:
        """The operator vacuums a table, or rewrites it."""
        name = self.world.layout.tables[table % len(self.world.layout.tables)].name
        if how == "CLUSTER":
            how = f"CLUSTER {name} USING {name.rpartition('.')[2]}_pkey"
        elif how == "REWRITE":
            how = f"ALTER TABLE {name} SET UNLOGGED; ALTER TABLE {name} SET LOGGED"
        else:
            how = f"{how} {name}"
        self.world.execute(how)
        # Rows have other ctids now, so a job reads some twice, or only in a catch-up pass.
        self.model.others_have_written()

    @precondition(lambda self: self.model.layout is STABLE and self.world.held is None)
    @rule()
    def upgrade(self) -> None:
        """The server is upgraded: a table moves to another schema, and a new one appears."""
        self.world.upgrade(MAIN)
        self.model.move(MAIN)

    # --- jobs -----------------------------------------------------------------------------------------------------

    @rule(to=TARGETS, from_=st.none() | VERSIONS, restart=st.booleans(), run=RUNS)
    def re_encrypt(self, to: int, from_: int | None, restart: bool, run: Run) -> None:  # noqa: FBT001
        """A re-encryption, also if another job is unfinished."""
        goal = Goal(None if from_ is None else self._pick(from_), self._least_used(to))
        self._run_job(goal, run, rollback=False, restart=restart)

    @precondition(lambda self: self.model.job is not None)
    @rule(run=QUIET_RUNS | RUNS)
    def resume(self, run: Run) -> None:
        """The same command again."""
        job = self.model.job
        assert job is not None
        if {job.goal.target, job.goal.source} - {None} <= self.model.ring:
            self._run_job(job.goal, run, rollback=job.rollback)

    @rule(to=TARGETS, rollback=st.booleans(), run=BROKEN_RUNS, rewrite=st.booleans(), again=QUIET_RUNS)
    def interrupt_and_resume(self, to: int, rollback: bool, run: Run, rewrite: bool, again: Run) -> None:  # noqa: FBT001
        """A job that is interrupted, and the same command again, perhaps after all tables were rewritten."""
        goal = Goal(None, self._least_used(to))
        self._run_job(goal, run, rollback=rollback, restart=not rollback)
        self.every_value_is_what_the_model_says()
        if self.model.job is not None:
            for table in range(len(self.world.layout.tables)) if rewrite else ():
                self.maintain_a_table(table, "VACUUM (FULL)")
            self._run_job(goal, again, rollback=rollback)

    @rule(to=TARGETS, run=RUNS)
    def roll_back(self, to: int, run: Run) -> None:
        """A rollback, perhaps of an unfinished job."""
        self._run_job(Goal(None, self._least_used(to)), run, rollback=True)

    @rule(to=VERSIONS, from_=st.none() | VERSIONS, limits=LIMITS, workers=st.sampled_from([1, 2]))
    def do_a_dry_run(self, to: int, from_: int | None, limits: Limits, workers: int) -> None:
        """A dry run counts and changes nothing."""
        goal = Goal(None if from_ is None else self._pick(from_), self._pick(to))
        with self.world.nothing_written():
            run = Run(Fate.NOTHING, Moment(None, 0), (), None, limits, workers, 0, held_commits=False)
            ending, _ = self._job(goal, run, dry_run=True)
        assert ending.state == "dry-run", ending
        self._compare_counts(ending, self.model.counts(goal), self.model.bad, dry_run=True)

    def _run_job(self, goal: Goal, run: Run, *, rollback: bool, restart: bool = False) -> None:
        unfinished, resumes = self.model.job, False
        if unfinished is not None and not restart and not (rollback and not unfinished.rollback):
            same = (unfinished.rollback, unfinished.goal) == (rollback, goal)
            if not same or unfinished.ring != self.model.ring or unfinished.layout is not self.model.layout:
                with self.world.nothing_written():
                    ending, _ = self._job(goal, run, rollback=rollback, restart=restart)
                assert ending.state == "refused", ending
                assert "ConfigurationError" in ending.what, ending
                return
            resumes = True
        if not resumes:
            counts = self.model.counts(goal)
            self.model.job = Job(rollback, goal, frozenset(self.model.ring), self.model.layout, counts, self.model.bad)
        job = self.model.job
        assert job is not None
        ending, disturbance = self._job(goal, run, rollback=rollback, restart=restart, passed=job.passed)
        job.passed = ending.last_pass
        if ending.state == "refused" and run.fate is Fate.CUT and disturbance.before_the_first_step:
            # Cut before a worker has begun: the command ends with exit 1, and the next command continues the job.
            assert "DatabaseError" in ending.what, ending
            ending = replace(ending, state="interrupted")
        self._settle(job, ending, disturbance)

    def _settle(self, job: Job, ending: Ending, disturbance: Disturbance) -> None:
        """Decide what each value may be after a run, and check what the run reports."""
        completed = ending.state == "completed"
        if self.world.has_open_writes:
            # It is not known what that transaction will commit.
            assert not completed, ending
        if ending.state == "failed":
            assert disturbance.open_in_last_pass, ending
            assert "could not be examined" in ending.what, ending
        assert ending.state in {"completed", "interrupted", "killed", "failed"}, ending
        self._allowed = {
            spot: frozenset(
                {job.goal.after(value.layers)}
                # Only what is written after the last catch-up pass stays as it is.
                if completed and (job.passed == 0 or disturbance.written.get(spot.row) != job.passed)
                else {value.layers, job.goal.after(value.layers)}
            )
            for spot, value in self.model.values.items()
        }
        if not completed:
            return
        self.model.job = None
        assert ending.remaining == 0, ending
        if job.expected is not None:
            self._compare_counts(ending, job.expected, job.bad)

    @staticmethod
    def _compare_counts(
        ending: Ending, expected: Mapping[str, Mapping[str, int]], bad: frozenset[Spot], *, dry_run: bool = False
    ) -> None:
        left_out = {"updated"} if dry_run else set()
        wanted = {
            location: {name: number for name, number in counts.items() if name not in left_out}
            for location, counts in expected.items()
        }
        assert ending.counts.keys() == wanted.keys()
        for location, counts in wanted.items():
            assert ending.counts[location] == counts, f"{location}: {ending.counts[location]}, and not {counts}"
        assert ending.bad == {(spot.location, spot.row.id, spot.path) for spot in bad}

    def _job(
        self,
        goal: Goal,
        run: Run,
        *,
        rollback: bool = False,
        restart: bool = False,
        dry_run: bool = False,
        passed: int = 0,
    ) -> tuple[Ending, Disturbance]:
        request = JobRequest(
            JobKind.ROLLBACK if rollback else JobKind.RE_ENCRYPT,
            EngineGoal(goal.target, source=goal.source),
            reason="stateful test",
            limits=run.limits,
            # The size of a batch must not depend on the machine.
            batch_s=None,
            workers=run.workers,
            restart=restart,
            dry_run=dry_run,
            wait_s=WRITERS_WAIT_S,
            # The example chooses the share of damaged values.
            accept_undecryptable=True,
        )

        def work(request: JobRequest, at_step: Callable[[AtStep], Word]) -> Ending:
            return run_job(self.world.database, self.world.ring(self.model), request, at_step, passed)

        def other() -> Ending:
            joined = replace(request, join=True, restart=False)
            return work(joined, lambda at: Word.STOP if at.number == run.other_stops_at else Word.GO)

        disturbance = Disturbance(self.world, self.model, run, other, quiet=dry_run)
        ending = work(request, disturbance)
        if disturbance.overtaken is not None:
            assert disturbance.overtaken.state in {"completed", "interrupted"}, disturbance.overtaken
            assert ending.state == "completed", ending
            ending = replace(ending, last_pass=max(ending.last_pass, disturbance.overtaken.last_pass))
        if ending.state == "killed":
            self.world.wait_until_the_process_is_gone()
        return ending, disturbance

    # --- audits and keys ------------------------------------------------------------------------------------------

    @rule(version=st.none() | VERSIONS, limits=LIMITS, workers=st.sampled_from([1, 2]))
    def audit(self, version: int | None, limits: Limits, workers: int) -> None:
        """An audit reports what the model says, and changes nothing."""
        asked = None if version is None else self._pick(version)
        with self.world.nothing_written():
            report = self.world.audit(self.model, asked, limits=limits, workers=workers)
        assert {
            location: (
                census.scanned,
                {number: count for number, count in census.by_version.items() if count},
                census.plaintext,
                census.undecryptable,
            )
            for location, census in report.locations.items()
        } == self.model.audit()
        assert {(entry.location, str(entry.id), entry.path) for entry in report.quarantine} == {
            (spot.location, spot.row.id, spot.path) for spot in self.model.bad
        }
        assert bool(report.unexamined) == self.world.has_open_writes, report.unexamined
        if asked is not None:
            assert report.found == self.model.needing(asked)

    @precondition(lambda self: self.model.newest < MOST_VERSIONS)
    @rule()
    def make_a_key(self) -> None:
        """The next version gets a key; the number of a destroyed key is never used again."""
        self.model.newest += 1
        self.model.ring.add(self.model.newest)

    @rule(
        version=VERSIONS,
        step=st.sampled_from(["first", "confirm", "now"]),
        cooled=st.booleans(),
        accept=st.booleans(),
        deep=st.booleans(),
    )
    def destroy_a_key(self, version: int, step: str, cooled: bool, accept: bool, deep: bool) -> None:  # noqa: FBT001
        """A key is destroyed in two steps or at once; refused while anything needs it."""
        self._destroy(self._pick(version), step, cooled=cooled, accept=accept, deep=deep)

    @precondition(lambda self: self.model.job is None and self.world.held is None)
    @rule(table=NUMBERS, column=st.integers(0, 2), now=st.booleans(), deep=st.booleans())
    def destroy_a_key_that_hardly_anything_needs(self, table: int, column: int, now: bool, deep: bool) -> None:  # noqa: FBT001
        """A server stores one value under the key that the fewest values need, and then that key must be destroyed."""
        others = self.model.ring - {self.model.server}
        chosen = min(others, key=lambda v: (self.model.needing(v), -v), default=None)
        if chosen is None or (self.model.needing(chosen) and self.model.newest < MOST_VERSIONS):
            self.make_a_key()
            chosen = self.model.newest
        of = self.model.layout.tables[table % len(self.model.layout.tables)]
        cells = [Cell(How.NULL)] * 3
        cells[column if of.document else column % len(of.columns)] = Cell(
            How.STALE, sorted(self.model.ring).index(chosen)
        )
        self.world.write(self.model, (Write(What.INSERT, table, 0, tuple(cells)),))
        self._destroy(chosen, "now" if now else "first", cooled=True, accept=True, deep=deep)

    def _destroy(self, chosen: int, step: str, *, cooled: bool, accept: bool, deep: bool) -> None:
        model = self.model
        needed = (
            chosen == model.server
            or model.job is not None
            or model.needing(chosen) > 0
            or (bool(model.bad) and not accept)
            # The values that will be committed may need any key.
            or self.world.has_open_writes
            or (step == "confirm" and (chosen not in model.disabled or not cooled))
        )
        request = DestroyRequest(
            chosen,
            Limits(3, 1 << 20),
            confirm=fingerprint(key_of(chosen)) if step == "confirm" else None,
            now=step == "now",
            accept_undecryptable=accept,
            skip_deep=not deep,
            workers=1,
            wait_s=WRITERS_WAIT_S,
        )
        with self.world.nothing_written():
            outcome = self.world.destroy(model, request, cooling_off="0" if cooled else "7d")
        self._take_destroy(chosen, outcome, refused=needed, first=step == "first")

    def _take_destroy(self, version: int, outcome: DestroyOutcome, *, refused: bool, first: bool) -> None:
        assert bool(outcome.refusals) == refused, outcome
        if refused:
            state = KeyState.DISABLED if version in self.model.disabled else KeyState.ENABLED
        elif first:
            state = KeyState.DISABLED
            self.model.disabled.add(version)
        else:
            state = KeyState.DESTROYED
            self.model.disabled.discard(version)
            self.model.ring.discard(version)
        assert outcome.state is state, outcome

    @rule(version=VERSIONS)
    def enable_a_key(self, version: int) -> None:
        """The first step is undone."""
        chosen = self._pick(version)
        with self.world.nothing_written() if chosen in self.model.disabled else nullcontext():
            self.world.enable(self.model, chosen)
        self.model.disabled.discard(chosen)

    def _pick(self, number: int) -> int:
        """One of the versions that have a key."""
        versions = sorted(self.model.ring)
        return versions[number % len(versions)]

    def _least_used(self, number: int) -> int:
        """One of the versions that have a key; those that the fewest values need come first."""
        versions = sorted(self.model.ring, key=lambda version: (self.model.needing(version), version))
        return versions[number % len(versions)]
