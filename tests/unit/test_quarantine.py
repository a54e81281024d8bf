"""Only the first damaged values of each kind stay in memory and in the report; all are counted."""

from __future__ import annotations

import random
from uuid import UUID

from fluxbase_cli.report.json_report import quarantine_fields, to_json
from fluxbase_cli.report.left_values import left_lines
from fluxbase_cli.store.quarantine import MOST_LISTED, MOST_OF_A_KIND, Quarantine, QuarantineCollector
from fluxbase_cli.store.records import UNWRITABLE, QuarantineEntry


def _entry(location: str, number: int, reason: str = "no key opens it") -> QuarantineEntry:
    return QuarantineEntry(location, UUID(int=number), (), reason)


def test_of_many_values_the_first_of_each_kind_are_kept_in_any_order() -> None:
    found = [_entry("a.b.c", number) for number in range(5000)] + [
        _entry("a.b.d", number, "damaged") for number in (7, 8)
    ]
    random.Random(1).shuffle(found)  # noqa: S311  # no secret
    collector = QuarantineCollector()
    for start in range(0, len(found), 100):
        # Some are read twice.
        collector.add(found[start : start + 110])
    kept = sum(map(len, collector._kinds.values()))

    left = collector.result(len(found))

    assert kept <= 2 * MOST_OF_A_KIND + 4
    assert [entry.id.int for entry in left if entry.location == "a.b.c"] == list(range(MOST_OF_A_KIND))
    assert [entry.id.int for entry in left if entry.location == "a.b.d"] == [7, 8]
    assert (left.total, left.unlisted) == (5002, 5002 - MOST_OF_A_KIND - 2)
    assert len(to_json(quarantine_fields(left))) < 100_000
    assert quarantine_fields(left)["quarantine_total"] == 5002
    assert list(left_lines(left, 3))[-1] == ("  all 5002 are in the table fluxbase_rotation.quarantine, with job = 3")


def test_with_more_kinds_than_fit_each_kind_is_named_before_one_is_named_twice() -> None:
    collector = QuarantineCollector()
    for kind in range(MOST_LISTED - 10):
        collector.add(_entry(f"a.b.c{kind:04}", number) for number in range(5))

    left = collector.result(5 * (MOST_LISTED - 10))

    assert len(left) == MOST_LISTED
    assert len({entry.location for entry in left}) == MOST_LISTED - 10


def test_lists_of_several_databases_are_one_list_and_their_numbers_are_added() -> None:
    one = Quarantine([_entry("a.b.c", 1)], undecryptable=7, unwritable=0)
    other = Quarantine([_entry("a.b.c", 2, f"{UNWRITABLE}: check"), _entry("a.b.c", 3)])

    both = Quarantine.together([one, other])

    assert [entry.id.int for entry in both] == [1, 2, 3]
    assert (both.undecryptable, both.unwritable, both.unlisted) == (8, 1, 6)
    assert list(quarantine_fields(other)) == ["quarantine"]
