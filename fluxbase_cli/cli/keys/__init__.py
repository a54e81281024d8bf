"""The command group `fluxbase-cli keys`: makes, lists and verifies keys, and destroys keys that nothing needs."""

from __future__ import annotations

import typer

from fluxbase_cli.cli.keys import destroy, manage
from fluxbase_cli.cli.options import group_options

_GROUP_HELP = "Make, list, check and destroy keys."


def make_app() -> typer.Typer:
    """Build the command group."""
    app = typer.Typer(help=_GROUP_HELP, no_args_is_help=True, rich_markup_mode=None)
    app.callback()(group_options(_group))
    manage.add_to(app)
    destroy.add_to(app)
    return app


def _group() -> None:
    """The callback of the group. It only takes the common options."""
