"""The commands `fluxbase-cli secrets pause`, `resume`, `stop` and `tune`: they control a job in other processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from fluxbase_cli.cli.context import load, messages_for
from fluxbase_cli.cli.option_types import MaxRate, MaxReplicaLag, max_lag, whole_number
from fluxbase_cli.cli.options import Options, command
from fluxbase_cli.cli.output import print_result
from fluxbase_cli.errors import ExitCode, interrupted_code
from fluxbase_cli.log_events import no_message

if TYPE_CHECKING:
    from fluxbase_cli.config import DatabaseSettings
    from fluxbase_cli.engine.observe.control import ControlState
    from fluxbase_cli.engine.throttle.pacing import MaxLag


def add_to(app: typer.Typer) -> None:
    """Add the commands to the group `secrets`."""
    app.command("pause", epilog=_PAUSE_EXAMPLES)(command(pause))
    app.command("resume", epilog=_RESUME_EXAMPLES)(command(resume))
    app.command("stop", epilog=_STOP_EXAMPLES)(command(stop))
    app.command("tune", epilog=_TUNE_EXAMPLES)(command(tune))


_PAUSE_EXAMPLES = """\b
Examples:
  fluxbase-cli secrets pause
  fluxbase-cli secrets pause --reason "the shop's sale begins at noon"
"""


def pause(
    options: Options,
    *,
    reason: Annotated[
        str | None,
        typer.Option("--reason", help="Why. The runners show it while they wait."),
    ] = None,
) -> int:
    """Make the running job wait, on all machines.

    The batches in progress are finished, and no new batch is begun. The processes stay alive and show why they wait.
    """
    from fluxbase_cli.engine.observe import control  # noqa: PLC0415  # start-up time

    with _written(options) as database:
        state = control.pause(database, reason)
    return _show(options, state)


_RESUME_EXAMPLES = """\b
Example:
  fluxbase-cli secrets resume
"""


def resume(options: Options) -> int:
    """Let a paused or stopped job continue.

    The processes of a paused job continue at once. A stopped job has no processes any more: run the command that began
    it again. After that, processes with --join or --run-name may work on it too.
    """
    from fluxbase_cli.engine.observe import control  # noqa: PLC0415  # start-up time

    with _written(options) as database:
        state = control.resume(database)
    return _show(options, state)


#: How long `secrets stop` waits for the runners, in seconds.
_WAIT_S = 60.0
_STOP_EXAMPLES = """\b
Examples:
  fluxbase-cli secrets stop
  fluxbase-cli secrets stop --reason "the disk of the standby is nearly full"
  fluxbase-cli secrets stop --no-wait -o json
"""


def stop(
    options: Options,
    *,
    reason: Annotated[
        str | None,
        typer.Option("--reason", help="Why. All processes of the job and `secrets status` show it."),
    ] = None,
    no_wait: Annotated[
        bool,
        typer.Option("--no-wait", help="Do not wait until the processes have ended."),
    ] = False,
) -> int:
    """End the running job, on all machines.

    The batches in progress are finished and recorded. Then all processes of the job end, as after Ctrl-C, and nothing
    is lost. The command that began the job resumes it. A process with --join or --run-name that is started again, such
    as a pod, does not resume it: `secrets resume` allows that.
    """
    from fluxbase_cli.cli.signals import stop_on_signals  # noqa: PLC0415  # start-up time
    from fluxbase_cli.engine.observe import control  # noqa: PLC0415
    from fluxbase_cli.engine.stop import Stop  # noqa: PLC0415
    from fluxbase_cli.report.control import stop_data, stop_lines  # noqa: PLC0415

    interrupted = Stop()
    with _written(options) as database:
        outcome = control.stop(database, reason)
    if not no_wait:
        with stop_on_signals(interrupted, no_message):
            outcome = control.wait_for_end(database, outcome, wait_s=_WAIT_S, interrupted=interrupted)
    print_result(options, stop_data(outcome), stop_lines(outcome))
    if interrupted.requested:
        return interrupted_code(interrupted.signal)
    return ExitCode.FAILED if outcome.left and outcome.request is not None and not no_wait else ExitCode.DONE


_TUNE_EXAMPLES = """\b
Examples:
  fluxbase-cli secrets tune --max-rate 2000
  fluxbase-cli secrets tune --max-rate 0 --max-replica-lag 5s
  fluxbase-cli secrets tune --batch-size 50
  fluxbase-cli secrets tune --concurrency 8
"""


def tune(
    options: Options,
    *,
    max_rate: MaxRate = None,
    max_replica_lag: MaxReplicaLag = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            parser=whole_number(least=0, most=50_000),
            metavar="N",
            help="All runners write this many rows in one transaction. 0: each runner uses its own size again.",
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            parser=whole_number(least=0, most=64),
            metavar="N",
            help="All runners together have this many workers. 0: each runner has its own number again.",
        ),
    ] = None,
) -> int:
    """Change the speed of the running job, on all machines.

    Without options, it shows the current settings. The job keeps the new settings, also after it is interrupted and
    resumed.
    """
    from fluxbase_cli.engine.observe import control  # noqa: PLC0415  # start-up time
    from fluxbase_cli.store.records import Tuning  # noqa: PLC0415

    lag: MaxLag | None = max_lag(max_replica_lag)
    tuning = Tuning(
        max_rate_per_s=max_rate,
        batch_rows=batch_size,
        workers=concurrency,
        max_lag_s=None if lag is None else lag.seconds or 0.0,
        max_lag_bytes=None if lag is None else lag.size or 0,
    )
    with _written(options) as database:
        state = control.tune(database, tuning)
    return _show(options, state)


@contextmanager
def _written(options: Options) -> Iterator[DatabaseSettings]:
    """The database, to which the block writes."""
    from fluxbase_cli.cli.waits import tells_waits  # noqa: PLC0415  # start-up time

    settings = load(options)
    with tells_waits(settings, messages_for(options)):
        yield settings.database


def _show(options: Options, state: ControlState) -> int:
    from fluxbase_cli.report.control import control_data, control_lines  # noqa: PLC0415  # start-up time

    print_result(options, control_data(state), control_lines(state))
    return ExitCode.DONE
