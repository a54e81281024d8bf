"""The command group `fluxbase-cli keys`: makes, lists and verifies keys, and destroys keys that nothing needs."""

from __future__ import annotations

import typer

from fluxbase_cli.cli.groups import GROUPS
from fluxbase_cli.cli.keys import destroy, manage
from fluxbase_cli.cli.options import command_group


def make_app() -> typer.Typer:
    """Build the command group."""
    app = command_group(GROUPS["keys"].help)
    manage.add_to(app)
    destroy.add_to(app)
    return app
