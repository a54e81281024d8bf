"""The command group `fluxbase-cli secrets`: re-encrypt, audit, rollback, list, status, report, and control."""

from __future__ import annotations

import typer

from fluxbase_cli.cli.groups import GROUPS
from fluxbase_cli.cli.options import command_group
from fluxbase_cli.cli.secrets import audit, control, job, report, status
from fluxbase_cli.cli.secrets import list as list_command


def make_app() -> typer.Typer:
    """Build the command group."""
    app = command_group(GROUPS["secrets"].help)
    job.add_to(app)
    audit.add_to(app)
    list_command.add_to(app)
    status.add_to(app)
    control.add_to(app)
    app.add_typer(report.make_app(), name="report")
    return app
