"""The command groups: what each is for, and where its commands are.

The texts stand here, so that the help of the program needs no other module of the groups.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """A command group.

    Attributes:
        module: its module in `fluxbase_cli.cli`, which has a function `make_app`.
        help: what it is for, in one sentence.
        by_command: its function `make_app` takes the name of a command, and leaves out others.
    """

    module: str
    help: str
    by_command: bool = False


GROUPS = {
    "secrets": Group("secrets", "Move sealed values to another key, and prove it.", by_command=True),
    "keys": Group("keys", "Make, list, check and destroy keys."),
    # The same command as `secrets report`: an auditor who verifies a report has nothing else to do with secrets.
    "report": Group("secrets.report", "Report a job or a rotation, or verify a signed report."),
    "config": Group("config", "Check the configuration."),
    "rotation": Group("rotation", "Rotate the key on a schedule."),
    "security": Group("security", "Check everything against the server's security checklist."),
}
