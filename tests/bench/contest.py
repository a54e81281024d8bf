"""The contest: all take turns in each round, so that changes in the machine's speed affect all equally."""

from __future__ import annotations

import platform
import statistics
from dataclasses import dataclass, field

import psycopg

from tests.bench.contestants import audit, copy_out, re_encrypt, single_update, split_update
from tests.bench.databases import Databases
from tests.bench.shapes import SHAPES, Shape
from tests.bench.traces import Traces, traced
from tests.bench.writer import Waits, writing


@dataclass(frozen=True, slots=True)
class Contest:
    """What is measured.

    Attributes:
        shape: the shape's name.
        rows: rows of its table.
        value_bytes: bytes of each plaintext.
        rounds: how often each contestant takes a turn.
        concurrency: workers, and connections of the split UPDATE.
        options: further options of `re-encrypt`.
    """

    shape: str
    rows: int
    value_bytes: int
    rounds: int
    concurrency: int
    options: tuple[str, ...]

    @property
    def of(self) -> Shape:
        """The shape."""
        return SHAPES[self.shape]

    @property
    def values(self) -> float:
        """How many sealed values there are."""
        return self.rows * self.of.values_a_row

    @property
    def title(self) -> str:
        """What is measured, in words."""
        each = f" of {self.value_bytes:,} bytes" if self.value_bytes else ""
        return f"{self.of.title}: {self.rows:,} rows, {self.values:,.0f} values{each}"


@dataclass(slots=True)
class Round:
    """One turn of each: seconds, and what `re-encrypt` took and left."""

    update_s: float
    split_s: float
    re_encrypt_s: float
    copy_s: float
    audit_s: float
    cpu_s: float
    peak_mb: float
    audit_peak_mb: float
    traces: Traces
    update_traces: Traces


@dataclass(frozen=True, slots=True)
class Ratio:
    """One time divided by another, for each round."""

    name: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median, which is the result."""
        return statistics.median(self.values)


@dataclass(slots=True)
class Results:
    """The results."""

    contest: Contest
    server: str
    rounds: list[Round] = field(default_factory=list)
    waits: Waits = field(default_factory=Waits)
    update_waits: Waits = field(default_factory=Waits)

    @property
    def machine(self) -> str:
        """Where it was measured."""
        return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, PostgreSQL {self.server}"

    @property
    def ratios(self) -> tuple[Ratio, ...]:
        """The ratios that count; below 1 the tool is faster."""
        each = self.rounds
        return (
            Ratio("re-encrypt / one UPDATE", tuple(r.re_encrypt_s / r.update_s for r in each)),
            Ratio("re-encrypt / split UPDATE", tuple(r.re_encrypt_s / r.split_s for r in each)),
            Ratio("audit / COPY TO STDOUT", tuple(r.audit_s / r.copy_s for r in each)),
        )


def hold(contest: Contest, databases: Databases) -> Results:
    """Hold the contest. Each turn is on a fresh copy, except for the readers, which do not change it."""
    with psycopg.connect(databases.server_url) as connection:
        results = Results(contest, str(connection.info.parameter_status("server_version")))
    print(contest.title, flush=True)
    for number in range(contest.rounds):
        results.rounds.append(_round(contest, databases))
        last = results.rounds[-1]
        print(
            f"round {number + 1}: UPDATE {last.update_s:.2f} s, split {last.split_s:.2f} s, "
            f"re-encrypt {last.re_encrypt_s:.2f} s, COPY {last.copy_s:.2f} s, audit {last.audit_s:.2f} s",
            flush=True,
        )
    url = databases.fresh_copy()
    with writing(url, contest.of) as results.waits:
        re_encrypt(url, databases, contest.concurrency, contest.options)
    url = databases.fresh_copy()
    with writing(url, contest.of) as results.update_waits:
        single_update(url, contest.of)
    return results


def _round(contest: Contest, databases: Databases) -> Round:
    url = databases.fresh_copy()
    copy_s = copy_out(url, contest.of)
    audited = audit(url, databases)
    with traced(url, contest.of) as update_traces:
        update_s = single_update(url, contest.of)
    split_s = split_update(databases.fresh_copy(), contest.of, contest.concurrency)
    url = databases.fresh_copy()
    with traced(url, contest.of) as traces:
        finished = re_encrypt(url, databases, contest.concurrency, contest.options)
    return Round(
        update_s,
        split_s,
        finished.seconds,
        copy_s,
        audited.seconds,
        finished.cpu_s,
        finished.peak_mb,
        audited.peak_mb,
        traces,
        update_traces,
    )
