"""The numbers in the question before a job."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from fluxbase_cli.catalogue.locations import CATALOGUE
from fluxbase_cli.cli.confirm import _list_first, _values
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.prepare.key_sample import KeySample
from fluxbase_cli.engine.prepare.plan import Plan
from fluxbase_cli.engine.tally import Tally
from fluxbase_cli.keyring import Layer
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.table_stats import TableStats

_SECRETS = next(table for table in CATALOGUE if table.qualified == "functions.secrets")
_LOCATION = "functions.secrets.encrypted_value"


def _plan(values: int, sampled: Tally) -> Plan:
    relation = Relation(_SECRETS, _SECRETS.schema, _SECRETS.name, _SECRETS.columns, None, None)
    stats = TableStats(values, {column.name: values for column in _SECRETS.columns}, 1)
    return Plan({relation: stats}, KeySample({_LOCATION: sampled}))


def _question(plan: Plan, dry_count: Counts | None = None) -> list[str]:
    prepared: Any = SimpleNamespace(
        plan=plan,
        preflight=SimpleNamespace(database="fluxbase"),
        request=SimpleNamespace(goal=Goal(2, 1)),
        dry_count=dry_count,
    )
    return list(_values(prepared))[2:]


@pytest.mark.parametrize(("values", "times"), [(317, 1), (3170, 10)], ids=["all sampled", "a tenth sampled"])
def test_plaintext_and_values_that_no_key_opens_are_not_among_those_that_move(values: int, times: int) -> None:
    sampled = Tally(Counter({(Layer(1, derived=False),): 299}), plaintext=17, undecryptable=1)
    plan = _plan(values, sampled)

    assert plan.values_to_move(Goal(2, 1)) == 299 * times
    assert _question(plan) == [
        f"  {values:>9}  together, of which about {299 * times} will be moved",
        f"             left as they are: about {17 * times} plaintext, about {times} that no key opens",
    ]


def test_what_was_counted_before_a_rollback_is_told_as_it_is() -> None:
    sampled = Tally(Counter({(Layer(1, derived=False),): 8}), plaintext=2)

    told = _question(_plan(10, sampled), Counts(scanned=9, re_encrypted=8, undecryptable=1, plaintext=1))

    assert told == [
        "         10  together, of which 8 will be moved",
        "             left as they are: 1 plaintext, 1 that no key opens",
    ]


def test_values_under_another_version_are_not_told_as_left() -> None:
    sampled = Tally(Counter({(Layer(1, derived=False),): 6, (Layer(2, derived=False),): 4}))

    assert _question(_plan(10, sampled)) == ["         10  together, of which about 6 will be moved"]


def test_the_list_of_a_leaked_key_is_saved_before_its_values_move() -> None:
    assert list(_list_first([3])) == [
        "! If key version 3 has leaked, first save the list of its secrets:",
        "  `fluxbase-cli secrets list --key-version 3 --databases all -o csv`",
    ]
    assert list(_list_first([1, 2])) == [
        "! If one of these keys has leaked, first save the list of its secrets:",
        "  `fluxbase-cli secrets list --key-version N --databases all -o csv`",
    ]
    assert not list(_list_first([]))
