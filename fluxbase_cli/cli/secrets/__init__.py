"""The command group `fluxbase-cli secrets`: re-encrypt, audit, rollback, status, pause, resume, tune."""

from __future__ import annotations

import typer

from fluxbase_cli.cli.options import group_options
from fluxbase_cli.cli.secrets import audit, control, job, status

_GROUP_HELP = "Move sealed values to another key, and prove it."


def make_app() -> typer.Typer:
    """Build the command group."""
    app = typer.Typer(help=_GROUP_HELP, no_args_is_help=True, rich_markup_mode=None)
    app.callback()(group_options(_group))
    job.add_to(app)
    audit.add_to(app)
    status.add_to(app)
    control.add_to(app)
    return app


def _group() -> None:
    """The callback of the group. It only takes the common options."""
