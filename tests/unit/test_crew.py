"""The workers of a pool: how many may work, when more begin, and what a missing connection changes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from fluxbase_cli.engine.events import NullObserver
from fluxbase_cli.engine.run.crew import Crew
from tests.fixtures.command import until


def _crew(workers: int) -> Crew:
    crew = Crew(workers, NullObserver())
    while crew.join() is not None:
        pass
    return crew


def _working(crew: Crew) -> list[int]:
    return [number for number in range(1, 20) if crew.may_work(number)]


def _all(more: int) -> int:
    return more


def test_as_many_workers_begin_as_were_asked_for() -> None:
    crew = Crew(2, NullObserver())
    assert [crew.join(), crew.join(), crew.join()] == [1, 2, None]


def test_a_smaller_number_lets_the_first_workers_work_and_begins_none() -> None:
    crew = _crew(4)
    assert crew.resize(1, _all)
    assert (crew.join(), _working(crew)) == (None, [1])


def test_a_larger_number_uses_the_waiting_workers_before_new_ones() -> None:
    crew = _crew(2)
    crew.resize(1, _all)
    crew.resize(3, _all)
    assert (crew.join(), crew.join(), _working(crew)) == (3, None, [1, 2, 3])


def test_the_same_number_again_changes_nothing() -> None:
    crew = _crew(2)
    crew.resize(5, lambda _more: 1)
    assert not crew.resize(5, _all)
    assert crew.size == 3


def test_without_free_connections_there_are_no_more_workers_but_as_many_as_before() -> None:
    crew = _crew(2)
    asked: list[int] = []

    def none(more: int) -> int:
        asked.append(more)
        return 0

    crew.resize(7, none)
    assert (asked, crew.size, crew.join()) == ([5], 2, None)


def test_a_crew_without_work_keeps_one_worker_that_waits() -> None:
    crew = Crew(2, NullObserver())
    crew.resize(0, _all)
    assert (crew.join(), crew.join(), _working(crew)) == (1, None, [])


@pytest.mark.parametrize(("workers", "size", "leaves"), [(3, 3, True), (1, 1, False), (3, 1, False)])
def test_a_worker_leaves_unless_it_is_the_last_that_works(workers: int, size: int, *, leaves: bool) -> None:
    crew = _crew(workers)
    crew.resize(size, _all)
    assert crew.leave(1, "too many clients") is leaves
    # Nobody takes its place.
    assert crew.join() is None
    assert crew.size == (size - 1 if leaves else size)


def test_after_the_end_no_worker_begins() -> None:
    crew = _crew(1)
    crew.resize(3, _all)
    crew.end()
    assert crew.join() is None


@pytest.mark.parametrize("happens", [Crew.end, Crew.wake])
def test_a_worker_waits_until_another_one_finds_work_or_the_end(happens: Callable[[Crew], None]) -> None:
    crew = _crew(2)
    waiting = threading.Thread(target=crew.wait, args=(60.0,), daemon=True)
    waiting.start()

    def is_over() -> bool:
        # Repeated, as the thread may not wait yet.
        happens(crew)
        waiting.join(0.01)
        return not waiting.is_alive()

    until(is_over, "nobody waits any more", patience_s=10.0)


def test_after_the_end_nobody_waits() -> None:
    crew = _crew(1)
    crew.end()
    waiting = threading.Thread(target=crew.wait, args=(60.0,), daemon=True)
    waiting.start()
    waiting.join(10.0)
    assert not waiting.is_alive()
