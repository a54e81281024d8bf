"""What happens to a job while it runs: others write, a transaction ends, connections are cut, the process dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace

from fluxbase_cli.engine.events import Step
from tests.stateful.jobs import AtStep, Ending, Word
from tests.stateful.model import Effect, Model
from tests.stateful.reader import Row
from tests.stateful.strategies import Fate, Run
from tests.stateful.world import World

#: While a batch's transaction is open its rows are locked, and we would wait for ourselves.
_FREE = frozenset({Step.READ, Step.BEGUN, Step.COMMITTED})
_WORDS = {Fate.KILLED: Word.DIE, Fate.STOPPED: Word.STOP}


class Disturbance:
    """Is called at each step of a job.

    Args:
        world: the database.
        model: records what is written.
        run: what happens at which step.
        quiet: nothing happens.
        other: another process joins the job.

    Attributes:
        written: the rows that others have written, and in which pass.
        open_in_last_pass: whether something was written and not committed when the last pass began.
        before_the_first_step: whether the disturbance came before the job's first step.
        overtaken: how another process ended that did some of the job's work meanwhile.
    """

    def __init__(self, world: World, model: Model, run: Run, other: Callable[[], Ending], *, quiet: bool) -> None:
        self._world = world
        self._model = model
        self._run = run
        self._other = other
        self._quiet = quiet
        self._waiting = sorted(run.meanwhile, key=lambda each: each.at)
        self.written: dict[Row, int] = {}
        self.open_in_last_pass = False
        self.before_the_first_step = False
        self.overtaken: Ending | None = None
        self._behind = 0

    def __call__(self, at: AtStep) -> Word:
        """Do what the run says for this step."""
        if not self._quiet:
            self._end_held(at)
            self._write(at)
        if at.step is None:
            self.open_in_last_pass = self._world.has_open_writes
        if at.step is not self._run.at.step:
            return Word.GO
        self._behind += 1
        if self._behind != self._run.at.behind + 1:
            return Word.GO
        self.before_the_first_step = at.number == 0
        if self._run.fate is Fate.CUT:
            self._world.cut()
        if self._run.fate is Fate.OVERTAKEN and self._run.workers == 1 and at.step in _FREE and not self._world.held:
            self._overtake(at)
        return _WORDS.get(self._run.fate, Word.GO)

    def _end_held(self, at: AtStep) -> None:
        """End the open transaction at its step, or when the job is about to wait for its rows."""
        held = self._world.held
        if held is None:
            return
        in_the_way = at.step in _FREE and at.table in held.locked
        if at.number >= self._run.held_ends_at or in_the_way:
            self._note(self._world.end_held(self._model, commit=self._run.held_commits), at)

    def _overtake(self, at: AtStep) -> None:
        os.kill(at.pid, signal.SIGSTOP)
        try:
            self._world.let_leases_run_out()
            self.overtaken = self._other()
        finally:
            os.kill(at.pid, signal.SIGCONT)
        # The job may have ended; then it would not process what is written now.
        self._quiet = True

    def _write(self, at: AtStep) -> None:
        names = [table.name for table in self._world.layout.tables]
        each_time = self._run.each_time
        if each_time is not None and at.step is Step.READ and at.table is not None:
            row, column = each_time.row + at.number, each_time.column + at.number
            write = replace(each_time, table=names.index(at.table), row=row, column=column)
            self._note(self._world.write(self._model, (write,)), at)
        for each in tuple(self._waiting):
            if each.here:
                ready = at.step is Step.READ and at.table == names[each.write.table % len(names)]
            else:
                ready = at.step in _FREE and each.at <= at.number
            if ready:
                self._waiting.remove(each)
                self._note(self._world.write(self._model, (each.write,)), at)

    def _note(self, effects: list[Effect], at: AtStep) -> None:
        for effect in effects:
            self.written[effect.row] = at.pass_number
