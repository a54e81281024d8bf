"""The options that say where sealed values are looked for; the same for all commands that look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fluxbase_cli.cli.options import Databases

if TYPE_CHECKING:
    from fluxbase_cli.catalogue.extra import SearchScope

DatabasesOption = Annotated[
    Databases,
    typer.Option(
        "--databases",
        envvar="FLUXBASE_CLI_DATABASES",
        show_envvar=False,
        help="Which databases: the main one, those of branches, those of tenants, or all of them.",
    ),
]
LocationsOption = Annotated[
    Path | None,
    typer.Option(
        "--locations",
        metavar="FILE",
        envvar="FLUXBASE_CLI_LOCATIONS",
        show_envvar=False,
        help="A YAML file with further places of sealed values, and with what is left out on purpose.",
    ),
]
TransactionWait = Annotated[
    float,
    typer.Option(
        "--transaction-wait",
        min=0.0,
        max=86_400.0,
        metavar="SECONDS",
        envvar="FLUXBASE_CLI_TRANSACTION_WAIT",
        show_envvar=False,
        help="How long to wait for open transactions that have written to a sealed table.",
    ),
]


def places_of(path: Path | None) -> SearchScope:
    """The places of the releases, and those of the file.

    Raises:
        ConfigurationError: the file can't be used.
    """
    from fluxbase_cli.catalogue.extra import read_places  # noqa: PLC0415  # start-up time

    return read_places(path)
