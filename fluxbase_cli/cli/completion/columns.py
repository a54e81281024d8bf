"""The columns of each list, for the completion of `--columns`. Nothing is read but, for an audit, the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from fluxbase_cli.cli.completion.words import Values, Word

#: The commands that have `--fleet`.
_IN_A_FLEET = ("secrets re-encrypt", "secrets rollback", "secrets audit", "config check")


def columns(key_versions: Values) -> Mapping[str, Values]:
    """Where the names of columns come from, by the command with what was given before `--columns`.

    Args:
        key_versions: finds the key versions; an audit has a column for each.
    """

    def of_an_audit(options: Mapping[str, str]) -> Sequence[Word]:
        from fluxbase_cli.report.audit import locations_listing  # noqa: PLC0415  # start-up time

        return _names(locations_listing(tuple(sorted(int(version) for version, _ in key_versions(options)))))

    fleet = {
        f"{command} {given}--columns": _of(partial(_fleet, command))
        for command in _IN_A_FLEET
        for given in ("", "--fleet ")
    }
    return MappingProxyType(
        {
            **fleet,
            "secrets audit --columns": of_an_audit,
            "secrets list --columns": _of(_stored_values),
            "secrets status --columns": _of(_jobs),
            "secrets status ARGUMENT --columns": _of(_locations),
            "keys list --columns": _of(_keys),
            "security check --columns": _of(_findings),
            "security rules --columns": _of(_rules),
        }
    )


def _of(listing: Callable[[], Any]) -> Values:
    return lambda _options: _names(listing())


def _names(listing: Any) -> Sequence[Word]:  # noqa: ANN401  # a list of any kind of rows
    return [(column.name, "") for column in listing.columns]


def _fleet(command: str) -> Any:  # noqa: ANN401  # as `_names`
    from fluxbase_cli.report.fleet import fleet_listing  # noqa: PLC0415  # start-up time, as below

    return fleet_listing(command)


def _stored_values() -> Any:  # noqa: ANN401  # as `_names`
    from fluxbase_cli.report.stored_values import values_listing  # noqa: PLC0415

    return values_listing(several=True)


def _jobs() -> Any:  # noqa: ANN401  # as `_names`
    from fluxbase_cli.report.status import JOBS  # noqa: PLC0415

    return JOBS


def _locations() -> Any:  # noqa: ANN401  # as `_names`
    from fluxbase_cli.report.status import LOCATIONS  # noqa: PLC0415

    return LOCATIONS


def _keys() -> Any:  # noqa: ANN401  # as `_names`
    from fluxbase_cli.report.keys import keys_listing  # noqa: PLC0415

    return keys_listing(counted=True)


def _findings() -> Any:  # noqa: ANN401  # as `_names`
    from fluxbase_cli.report.security.text import FINDINGS  # noqa: PLC0415

    return FINDINGS


def _rules() -> Any:  # noqa: ANN401  # as `_names`
    from fluxbase_cli.report.security.text import RULES  # noqa: PLC0415

    return RULES
