"""Says what a command waits for, if it writes to the database without a job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxbase_cli.config import Settings
    from fluxbase_cli.report.messages import Messages


@contextmanager
def tells_waits(settings: Settings, messages: Messages) -> Iterator[None]:
    """Inside the block, a line says that a commit waits for a synchronous standby.

    Args:
        settings: they name the database.
        messages: get the line.
    """
    from fluxbase_cli.engine.run.commit_watch import CommitWatch  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.progress import MessagesOnly  # noqa: PLC0415

    with CommitWatch(settings.database, MessagesOnly(messages)):
        yield
