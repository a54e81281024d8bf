"""The command group `fluxbase-cli secrets`: re-encrypt, audit, rollback, list, status, report, and control."""

from __future__ import annotations

from importlib import import_module

import typer

from fluxbase_cli.cli.groups import GROUPS
from fluxbase_cli.cli.options import command_group

#: The module of each command, in the order of the help. Each has a function `add_to`.
_MODULES = {
    "re-encrypt": "job",
    "rollback": "job",
    "audit": "audit",
    "list": "list",
    "status": "status",
    "pause": "control",
    "resume": "control",
    "stop": "control",
    "tune": "control",
    "report": "report",
}


def make_app(command: str | None = None) -> typer.Typer:
    """Build the command group.

    Args:
        command: the word after the name of the group, if it is known. If it names a command, the commands of other
            modules are left out: they can't be meant, and to build them takes time.
    """
    app = command_group(GROUPS["secrets"].help)
    for module in [_MODULES[command]] if command in _MODULES else dict.fromkeys(_MODULES.values()):
        import_module(f"{__name__}.{module}").add_to(app)
    return app
