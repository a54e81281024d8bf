"""Finds the rules: each `Rule` at the top of a module in `fluxbase_cli/security/rules`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from fluxbase_cli.security import rules
from fluxbase_cli.security.rule import Rule


@cache
def all_rules() -> tuple[Rule, ...]:
    """All rules, by their ids.

    Raises:
        ValueError: two rules have the same id.
    """
    found: dict[str, Rule] = {}
    for module in pkgutil.iter_modules(rules.__path__, f"{rules.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if not isinstance(value, Rule):
                continue
            if found.setdefault(value.id, value) is not value:
                message = f"two rules have the id {value.id}"
                raise ValueError(message)
    return tuple(found[each] for each in sorted(found))


def find_rule(rule_id: str) -> Rule | None:
    """The rule with this id, in any case of letters. None if there is no such rule."""
    wanted = rule_id.strip().upper()
    return next((each for each in all_rules() if each.id == wanted), None)
