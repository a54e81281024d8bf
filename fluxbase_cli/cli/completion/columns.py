"""The columns of each list, for the completion of `--columns`. Nothing is read but, for an audit, the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from fluxbase_cli.cli.completion.words import Values, Word

#: The commands that print a list only with `--fleet`. An audit has another list without it.
_IN_A_FLEET = ("secrets re-encrypt", "secrets rollback", "config check")
#: The other commands, with an argument or without. Each has one list.
_LISTS = (
    "secrets list",
    "secrets status",
    "secrets status ARGUMENT",
    "keys list",
    "security check",
    "security rules",
)


def columns(key_versions: Values) -> Mapping[str, Values]:
    """Where the names of columns come from, by the command with what was given before `--columns`.

    Args:
        key_versions: finds the key versions; an audit has a column for each.
    """

    def of_an_audit(options: Mapping[str, str]) -> Sequence[Word]:
        from fluxbase_cli.report.audit import locations_listing  # noqa: PLC0415  # start-up time

        return _names(locations_listing(tuple(sorted(int(version) for version, _ in key_versions(options)))))

    return MappingProxyType(
        {
            **{f"{command} --columns": _of(partial(_fleet, command)) for command in _IN_A_FLEET},
            "secrets audit --fleet --columns": _of(partial(_fleet, "secrets audit")),
            "secrets audit --columns": of_an_audit,
            **{f"{command} --columns": _of(partial(_listing, command)) for command in _LISTS},
        }
    )


def _of(listing: Callable[[], Any]) -> Values:
    return lambda _options: _names(listing())


def _names(listing: Any) -> Sequence[Word]:  # noqa: ANN401  # a list of any kind of rows
    return [(column.name, "") for column in listing.columns]


def _fleet(command: str) -> Any:  # noqa: ANN401  # as `_names`
    from fluxbase_cli.report.fleet import fleet_listing  # noqa: PLC0415  # start-up time

    return fleet_listing(command)


def _listing(command: str) -> Any:  # noqa: ANN401  # as `_names`
    """The list of a command of `_LISTS`. Only its own module is imported: the Tab key must answer quickly."""
    match command:
        case "secrets list":
            from fluxbase_cli.report.stored_values import values_listing  # noqa: PLC0415

            return values_listing(several=True)
        case "keys list":
            from fluxbase_cli.report.keys import keys_listing  # noqa: PLC0415

            return keys_listing(counted=True)
        case "secrets status" | "secrets status ARGUMENT":
            from fluxbase_cli.report.status import JOBS, LOCATIONS  # noqa: PLC0415

            return JOBS if command == "secrets status" else LOCATIONS
        case _:
            from fluxbase_cli.report.security.text import FINDINGS, RULES  # noqa: PLC0415

            return FINDINGS if command == "security check" else RULES
