"""Rates, batch sizes and lags, on a clock that the test sets."""

from __future__ import annotations

import pytest

from fluxbase_cli.engine.throttle.pacing import (
    BatchSize,
    CheckpointMonitor,
    LagEstimator,
    MaxLag,
    RateLimiter,
    ReplicaLag,
    in_bytes,
)


class Clock:
    """A clock that moves only when the test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


# --- the rate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "batch"), [(1000.0, 100), (1000.0, 1000), (3.0, 10), (0.5, 1)])
def test_the_rate_is_kept_for_every_size_of_batches(clock: Clock, rate: float, batch: int) -> None:
    rate_limiter = RateLimiter(clock)
    rate_limiter.limit(rate)
    began, done = clock.now, 0
    for _ in range(50):
        clock.sleep(rate_limiter.delay_s())
        clock.sleep(0.001)
        done += batch
        rate_limiter.book(batch)
    clock.sleep(rate_limiter.delay_s())

    assert done / (clock.now - began) == pytest.approx(rate, rel=0.05)


def test_threads_share_the_rate(clock: Clock) -> None:
    rate_limiter = RateLimiter(clock)
    rate_limiter.limit(100)
    for _ in range(4):
        rate_limiter.book(25)

    assert rate_limiter.delay_s() == pytest.approx(1.0)


def test_time_without_work_is_not_saved_up(clock: Clock) -> None:
    rate_limiter = RateLimiter(clock)
    rate_limiter.limit(100)
    clock.sleep(3600)
    rate_limiter.book(100)

    assert rate_limiter.delay_s() == pytest.approx(1.0)


def test_without_a_rate_there_is_no_wait(clock: Clock) -> None:
    rate_limiter = RateLimiter(clock)
    rate_limiter.book(10**9)
    assert rate_limiter.delay_s() == 0


def test_another_rate_applies_at_once(clock: Clock) -> None:
    rate_limiter = RateLimiter(clock)
    rate_limiter.limit(1)
    rate_limiter.book(3600)
    assert rate_limiter.delay_s() == pytest.approx(3600)
    rate_limiter.limit(1000)
    assert rate_limiter.delay_s() == 0
    rate_limiter.limit(None)
    rate_limiter.book(10**9)
    assert rate_limiter.delay_s() == 0


# --- the size of batches ----------------------------------------------------------------------------------------------


def run(size: BatchSize, clock: Clock, seconds: float, *, fixed_s: float = 0.0, per_row_s: float = 0.0) -> list[int]:
    """Run batches for some time on a server with these costs; return their sizes."""
    until, sizes = clock.now + seconds, []
    while clock.now < until:
        rows = size.rows
        took = fixed_s + rows * per_row_s
        clock.sleep(took)
        size.took(rows, took)
        sizes.append(rows)
    return sizes


def test_a_fast_server_gets_full_batches(clock: Clock) -> None:
    assert set(run(BatchSize(1000, 0.1, clock), clock, 30, per_row_s=30e-6)) == {1000}


def test_batches_shrink_until_they_take_no_longer_than_they_should(clock: Clock) -> None:
    sizes = run(BatchSize(1000, 0.1, clock), clock, 30, per_row_s=500e-6)

    assert sizes[0] == max(sizes) == 1000
    assert sizes[-1] * 500e-6 <= 0.1
    assert sizes[-1] * 500e-6 > 0.025


def test_they_never_shrink_below_the_bound(clock: Clock) -> None:
    assert min(run(BatchSize(1000, 0.1, clock), clock, 10_000, per_row_s=1.0)) == 100


def test_they_grow_again_when_the_server_is_fast_again(clock: Clock) -> None:
    size = BatchSize(1000, 0.1, clock)
    run(size, clock, 30, per_row_s=1e-3)
    assert size.rows < 200
    run(size, clock, 30, per_row_s=30e-6)
    assert size.rows == 1000


def test_a_distant_server_gets_full_batches_because_small_ones_take_as_long(clock: Clock) -> None:
    sizes = run(BatchSize(1000, 0.1, clock), clock, 300, fixed_s=0.25, per_row_s=10e-6)

    assert sizes[-1] == 1000 or sizes.count(1000) > 0.8 * len(sizes)
    assert min(sizes) >= 500


def test_batches_that_are_limited_by_bytes_shrink_from_the_rows_that_they_held(clock: Clock) -> None:
    size = BatchSize(1000, 0.1, clock)
    for _ in range(8):
        size.took(300, 0.11)
    assert size.rows == 150


def test_the_short_last_batch_of_a_range_is_not_counted(clock: Clock) -> None:
    size = BatchSize(1000, 0.1, clock)
    for _ in range(7):
        size.took(1000, 0.101)
        size.took(3, 0.001)
    assert size.rows == 1000
    size.took(1000, 0.101)
    assert size.rows == 500


def test_a_requested_size_is_kept(clock: Clock) -> None:
    size = BatchSize(5000, None, clock)
    assert size.on_lock_conflict() is None
    assert set(run(size, clock, 30, per_row_s=1.0)) == {5000}


def test_a_lock_conflict_makes_batches_smaller_at_once_and_for_a_while(clock: Clock) -> None:
    size = BatchSize(1000, 0.1, clock)
    assert [size.on_lock_conflict() for _ in range(7)] == [500, 250, 125, 62, 31, 15, 10]
    assert size.on_lock_conflict() is None
    run(size, clock, 25, fixed_s=0.01)
    assert size.rows == 10
    run(size, clock, 15, fixed_s=0.01)
    assert size.rows == 1000


def test_a_single_batch_that_takes_very_long_is_enough(clock: Clock) -> None:
    size = BatchSize(1000, 0.1, clock)
    size.took(1000, 3.0)
    assert size.rows == 500


def test_a_small_upper_bound_is_never_raised(clock: Clock) -> None:
    size = BatchSize(3, 0.1, clock)
    run(size, clock, 30, per_row_s=1.0)
    assert size.rows == 3
    assert size.on_lock_conflict() is None


def took(size: BatchSize, rows: int, *times: float) -> int:
    """Run batches of so many rows; return the size that was decided."""
    for time_s in times:
        size.took(rows, time_s)
    return size.rows


def test_the_median_of_eight_batches_decides(clock: Clock) -> None:
    mixed = [0.101, 0.01, 0.101, 0.01, 0.101, 0.01, 0.101]
    size = BatchSize(1000, 0.1, clock)
    assert took(size, 1000, *mixed) == 1000
    assert took(size, 1000, 0.101) == 500
    assert took(BatchSize(1000, 0.1, clock), 1000, *[0.01] * 5, *[0.101] * 3) == 1000


@pytest.mark.parametrize(("rows", "decided"), [(499, 499), (498, 999)])
def test_a_batch_of_half_the_rows_is_still_counted(clock: Clock, rows: int, decided: int) -> None:
    size = BatchSize(999, 0.1, clock)
    took(size, 999, 0.101)
    assert took(size, rows, *[0.101] * 7) == decided


def test_a_size_is_a_whole_number_of_rows(clock: Clock) -> None:
    assert took(BatchSize(1000, 0.1, clock), 301, *[0.11] * 8) == 150


def test_times_exactly_at_the_bounds_change_nothing(clock: Clock) -> None:
    size = BatchSize(1000, 0.125, clock)
    assert took(size, 1000, *[0.125] * 8) == 1000
    # One batch that took as long as eight batches may take is not enough.
    assert took(BatchSize(1000, 0.125, clock), 1000, 1.0) == 1000
    size.on_lock_conflict()
    clock.sleep(60)
    assert took(size, 500, *[0.0625] * 8) == 500


def test_a_size_that_may_grow_is_doubled(clock: Clock) -> None:
    size = BatchSize(1000, 0.125, clock)
    size.on_lock_conflict()
    size.on_lock_conflict()
    clock.sleep(29)
    assert took(size, 250, *[0.05] * 8) == 250
    clock.sleep(1)
    assert took(size, 250, *[0.05] * 8) == 500
    assert took(size, 500, *[0.05] * 8) == 1000


def test_halving_has_helped_when_batches_take_a_quarter_less_time(clock: Clock) -> None:
    for after, decided in ((0.1875, 250), (0.19, 1000)):
        size = BatchSize(1000, 0.125, clock)
        # As many batches as a safe decision needs when each takes far too long.
        assert took(size, 1000, *[0.25] * 5) == 500
        assert took(size, 500, *[after] * 6) == decided


def test_slow_batches_of_the_smallest_size_do_not_keep_a_later_size_from_shrinking(clock: Clock) -> None:
    size = BatchSize(200, 0.125, clock)
    assert took(size, 200, *[0.25] * 5) == 100
    assert took(size, 100, *[0.15] * 28) == 100
    clock.sleep(1)
    assert took(size, 100, *[0.01] * 8) == 200
    assert took(size, 200, *[0.25] * 5) == 100


# --- standbys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lag", "shown"),
    [
        ("10s", MaxLag(10.0, None), "10s"),
        ("10", MaxLag(10.0, None), "10s"),
        ("1.5S", MaxLag(1.5, None), "1.5s"),
        ("500ms", MaxLag(0.5, None), "0.5s"),
        ("2m", MaxLag(120.0, None), "120s"),
        ("64MB", MaxLag(None, 64 * 1024**2), "64 MB"),
        ("10s, 1gb", MaxLag(10.0, 1024**3), "10s,1.0 GB"),
        ("16kB,3s", MaxLag(3.0, 16 * 1024), "3s,16 kB"),
        ("0", MaxLag(), ""),
    ],
)
def test_a_lag_is_a_time_or_a_size_or_both(text: str, lag: MaxLag, shown: str) -> None:
    assert MaxLag.parse(text) == lag
    assert str(lag) == shown


@pytest.mark.parametrize("text", ["", "soon", "10 parsecs", "-1s", "1s,2s", "1MB,2MB", "1s,", "1e3", "ms"])
def test_a_text_that_is_not_a_lag_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        MaxLag.parse(text)


def test_a_standby_may_be_too_late_by_time_or_by_size() -> None:
    late = ReplicaLag("replica", 11.0, 2048)
    assert late.exceeds(MaxLag(10.0, None))
    assert late.exceeds(MaxLag(None, 1024))
    assert late.exceeds(MaxLag(10.0, 10**9))
    assert not late.exceeds(MaxLag(12.0, 4096))
    assert not late.exceeds(MaxLag())


def test_a_standby_that_stands_still_falls_behind_as_time_passes(clock: Clock) -> None:
    """PostgreSQL's own replay_lag can stay empty in this case."""
    lag = LagEstimator()
    lag.note(clock.now, 1000)
    assert lag.seconds_behind(clock.now, 1000) == 0
    clock.sleep(1)
    lag.note(clock.now, 2000)
    clock.sleep(5)
    lag.note(clock.now, 3000)
    assert lag.seconds_behind(clock.now, 1000) == 5
    assert lag.seconds_behind(clock.now, 2500) == 0
    clock.sleep(2)
    assert lag.seconds_behind(clock.now, 1999) == 7
    assert lag.seconds_behind(clock.now, 3000) == 0


def test_no_standby_is_behind_an_idle_primary(clock: Clock) -> None:
    lag = LagEstimator()
    for _ in range(10):
        lag.note(clock.now, 1000)
        clock.sleep(60)
    assert lag.seconds_behind(clock.now, 1000) == 0


def test_the_error_names_the_text_that_is_not_a_lag() -> None:
    with pytest.raises(ValueError, match=r"^10 parsecs$"):
        MaxLag.parse("10 parsecs")


def test_a_standby_may_be_exactly_as_late_as_the_limit() -> None:
    late = ReplicaLag("replica", 10.0, 1024)
    assert not late.exceeds(MaxLag(10.0, 1024))
    assert late.exceeds(MaxLag(10.0, 1023))
    assert late.exceeds(MaxLag(9.9, 1024))


def test_an_idle_hour_does_not_make_the_lag_of_a_standby_that_stands_still_smaller(clock: Clock) -> None:
    lag = LagEstimator()
    for _ in range(5_000):
        lag.note(clock.now, 1000)
        clock.sleep(1)
    assert lag.seconds_behind(clock.now, 500) == 5_000


def test_no_more_than_an_hour_of_samples_is_kept(clock: Clock) -> None:
    lag = LagEstimator()
    for number in range(5_000):
        lag.note(clock.now, 1000 + number)
        clock.sleep(1)
    assert lag.seconds_behind(clock.now, 0) == 3_600


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_frequent_checkpoints_are_reported_once() -> None:
    watch = CheckpointMonitor()
    assert watch.note(0, 7, 0) is None
    assert watch.note(5, 8, 500 * 1024**2) is None
    message = watch.note(20, 9, 2000 * 1024**2)
    assert message is not None
    assert "100 MB of WAL a second" in message
    assert "2 checkpoints in 20s" in message
    assert watch.note(25, 20, 3000 * 1024**2) is None


def test_checkpoints_before_the_job_do_not_count() -> None:
    watch = CheckpointMonitor()
    assert watch.note(100, 7, 5 * 1024**3) is None
    assert watch.note(160, 9, 5 * 1024**3 + 600 * 1024**2) == (
        "the server writes 10 MB of WAL a second and had to make 2 checkpoints in 60s: raise max_wal_size, "
        "or go slower (`fluxbase-cli secrets tune --max-rate`)"
    )


def test_rare_checkpoints_are_not_reported() -> None:
    watch = CheckpointMonitor()
    assert [watch.note(60.0 * n, n, 10**9 * n) for n in range(20)] == [None] * 20


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1 kB"), (1.5 * 1024**3, "1.5 GB")]
)
def test_sizes_are_written_in_postgresqls_units(size: float, text: str) -> None:
    assert in_bytes(size) == text
