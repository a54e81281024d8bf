"""The results as text and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tests.bench.contest import Results
from tests.bench.writer import Waits


def as_text(results: Results) -> str:
    """A table for the terminal and for Markdown."""
    contest, rounds = results.contest, results.rounds
    asked = " ".join(("", *contest.options))
    title = f"{contest.title}; {contest.concurrency} workers{asked}, {contest.rounds} rounds; {results.machine}"
    lines = [
        title,
        "",
        "| | median | least | most |",
        "|---|--:|--:|--:|",
    ]
    lines += [_line(f"**{each.name}**", each.values, ".2f") for each in results.ratios]
    columns = {
        "one UPDATE, s": ([r.update_s for r in rounds], ".2f"),
        "split UPDATE, s": ([r.split_s for r in rounds], ".2f"),
        "re-encrypt, s": ([r.re_encrypt_s for r in rounds], ".2f"),
        "re-encrypt, µs a value": ([1e6 * r.re_encrypt_s / contest.values for r in rounds], ".2f"),
        "re-encrypt: processor time of the tool, µs a value": ([1e6 * r.cpu_s / contest.values for r in rounds], ".2f"),
        "re-encrypt: processor time of the server, µs a value": (
            [1e6 * r.traces.server_cpu_s / contest.values for r in rounds],
            ".2f",
        ),
        "one UPDATE: processor time of the server, µs a value": (
            [1e6 * r.update_traces.server_cpu_s / contest.values for r in rounds],
            ".2f",
        ),
        "COPY, s": ([r.copy_s for r in rounds], ".2f"),
        "audit, s": ([r.audit_s for r in rounds], ".2f"),
        "re-encrypt: peak memory, MB": ([r.peak_mb for r in rounds], ".0f"),
        "audit: peak memory, MB": ([r.audit_peak_mb for r in rounds], ".0f"),
        "re-encrypt: WAL, MB": ([r.traces.wal_mb for r in rounds], ".0f"),
        "one UPDATE: WAL, MB": ([r.update_traces.wal_mb for r in rounds], ".0f"),
        "re-encrypt: HOT updates, %": ([r.traces.hot_percent for r in rounds], ".0f"),
        "re-encrypt: table growth, %": ([r.traces.table_growth_percent for r in rounds], ".1f"),
        "one UPDATE: table growth, %": ([r.update_traces.table_growth_percent for r in rounds], ".1f"),
        "one UPDATE: index growth, %": ([r.update_traces.index_growth_percent for r in rounds], ".1f"),
        "re-encrypt: index growth, %": ([r.traces.index_growth_percent for r in rounds], ".1f"),
    }
    lines += [_line(name, values, form) for name, (values, form) in columns.items()]
    lines += ["", "| a writer of single rows waits, ms | p50 | p99 | most | writes |", "|---|--:|--:|--:|--:|"]
    lines += [_waits("during re-encrypt", results.waits), _waits("during one UPDATE", results.update_waits)]
    return "\n".join(lines)


def _line(name: str, values: list[float] | tuple[float, ...], form: str) -> str:
    return f"| {name} | {statistics.median(values):{form}} | {min(values):{form}} | {max(values):{form}} |"


def _waits(name: str, waits: Waits) -> str:
    return (
        f"| {name} | {waits.quantile(0.5):.1f} | {waits.quantile(0.99):.1f} | {waits.quantile(1):.1f} "
        f"| {len(waits.ms)} |"
    )


def as_summary(contests: Sequence[Results]) -> str:
    """A table with a line of medians for each contest."""
    lines = [
        "| | / one UPDATE | / split UPDATE | audit / COPY | µs a value | peak, MB | growth, % | writer's p99, ms |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for results in contests:
        rounds, ratios = results.rounds, (f"{each.median:.2f}" for each in results.ratios)
        cells = [
            results.contest.title,
            *ratios,
            f"{1e6 * statistics.median(r.re_encrypt_s for r in rounds) / results.contest.values:.2f}",
            f"{statistics.median(r.peak_mb for r in rounds):.0f}",
            f"{statistics.median(r.traces.table_growth_percent for r in rounds):.1f}",
            f"{results.waits.quantile(0.99):.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def as_dict(results: Results) -> dict[str, Any]:
    """All figures, for each round."""
    return {
        "contest": asdict(results.contest),
        "machine": results.machine,
        "ratios": {each.name: {"median": each.median, "rounds": list(each.values)} for each in results.ratios},
        "rounds": [asdict(each) for each in results.rounds],
        "writer_waits_ms": {
            name: {"p50": waits.quantile(0.5), "p99": waits.quantile(0.99), "most": waits.quantile(1)}
            for name, waits in (("re-encrypt", results.waits), ("one UPDATE", results.update_waits))
        },
    }
