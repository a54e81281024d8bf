"""The commands `fluxbase-cli keys destroy` and `keys enable`, which takes the first step of `destroy` back."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from fluxbase_cli.cli.ask import ask, can_ask
from fluxbase_cli.cli.context import load, messages_for
from fluxbase_cli.cli.option_types import LocationsOption, TransactionWait, Yes, scope_of, whole_number
from fluxbase_cli.cli.options import Options, Output, command
from fluxbase_cli.cli.output import print_result
from fluxbase_cli.cli.waits import tells_waits
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.log_events import LogEvent, about
from fluxbase_cli.moments import moment_text

if TYPE_CHECKING:
    from fluxbase_cli.config import Settings
    from fluxbase_cli.keys.destroy_request import Subject

KeyVersion = Annotated[
    int,
    typer.Option(
        "--key-version",
        parser=whole_number(least=1),
        metavar="N",
        help="The key's version.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the group `keys`."""
    app.command("destroy", epilog=_DESTROY_EXAMPLES)(command(destroy))
    app.command("enable", epilog=_ENABLE_EXAMPLES)(command(enable))


_DESTROY_EXAMPLES = """\b
Examples:
  fluxbase-cli keys destroy --key-version 1
  fluxbase-cli keys destroy --key-version 1 --confirm 58352c770942498e
  fluxbase-cli keys destroy --key-version 1 --now --reason "Key leaked"
"""


def destroy(  # noqa: PLR0913  # a command's options
    options: Options,
    *,
    key_version: KeyVersion,
    confirm: Annotated[
        str | None,
        typer.Option(
            "--confirm",
            metavar="FINGERPRINT",
            help="Second step: destroy the key that has this fingerprint.",
        ),
    ] = None,
    now: Annotated[
        bool,
        typer.Option(
            "--now",
            help="Do both steps at once, without the cooling-off time. Only for an emergency.",
        ),
    ] = False,
    reason: Annotated[
        str | None,
        typer.Option("--reason", help="Why. It is recorded with who, when and from where. --now needs it."),
    ] = None,
    keep_until: Annotated[
        str | None,
        typer.Option(
            "--keep-until",
            metavar="DATE",
            help="Do not destroy the key before this date (2027-03-31, or with a time, in UTC).",
        ),
    ] = None,
    accept_undecryptable: Annotated[
        bool,
        typer.Option(
            "--accept-undecryptable",
            help="Continue even if there are values that no key opens.",
        ),
    ] = False,
    skip_copies: Annotated[
        bool,
        typer.Option(
            "--skip-copies",
            help="Do not search branch and tenant databases.",
        ),
    ] = False,
    skip_standbys: Annotated[
        bool,
        typer.Option(
            "--skip-standbys",
            help="Continue even if standbys or replication slots are behind or not connected. Standbys that are gone "
            "are not checked again later. Recorded with who and when.",
        ),
    ] = False,
    skip_deep: Annotated[
        bool,
        typer.Option(
            "--skip-deep",
            help="Search only the known locations, not every column. Recorded with who and when.",
        ),
    ] = False,
    locations: LocationsOption = None,
    transaction_wait: TransactionWait = 10.0,
    yes: Yes = False,
) -> int:
    """Destroy a key that nothing needs any more, in two steps.

    Step 1 disables the key. The key still exists, and `keys enable` takes the step back. Step 2 (--confirm) is possible
    after the cooling-off time: 7 days, or security.encryption.key_destruction.cooling_off. It removes the key from its
    source for good.

    Each step opens every value again, in branch and tenant databases and in all columns of all tables too. A step is
    refused (exit code 3, with the reasons) while the key is active, a value needs it, something could not be examined,
    a job is unfinished, no key opens some values, or backups may need the key. Step 2 is also refused while a standby
    or a replication slot is not connected, or is behind the audited state. All times are from the database server's
    clock.
    """
    from fluxbase_cli.cli.signals import stop_on_signals  # noqa: PLC0415  # start-up time
    from fluxbase_cli.engine.stop import Stop  # noqa: PLC0415
    from fluxbase_cli.keys.destroy import Destruction  # noqa: PLC0415
    from fluxbase_cli.keys.destroy_request import DestroyRequest  # noqa: PLC0415
    from fluxbase_cli.report.destroy import destroy_data, destroy_lines  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.progress import progress_for  # noqa: PLC0415
    from fluxbase_cli.store.limits import DEFAULT_LIMITS  # noqa: PLC0415

    messages = messages_for(options)
    _refuse_unsaid(reason, now=now, asks=not yes and confirm is None)
    request = DestroyRequest(
        version=key_version,
        limits=DEFAULT_LIMITS,
        confirm=confirm,
        now=now,
        reason=reason.strip() if reason else None,
        keep_until=_moment(keep_until),
        accept_undecryptable=accept_undecryptable,
        skip_copies=skip_copies,
        skip_standbys=skip_standbys,
        skip_deep=skip_deep,
        scope=scope_of(locations),
        wait_s=transaction_wait,
    )
    settings = load(options, messages)
    for warning in settings.warnings:
        messages.warn(LogEvent.CONFIGURATION_WARNING, warning)
    stop = Stop()
    with stop_on_signals(stop, messages.tell), progress_for(messages, color=options.color) as progress:
        destruction = Destruction(
            settings,
            os.environ,
            request,
            stop=stop,
            observer=progress,
            warn=about(LogEvent.KEY_WARNING, messages.warn_once),
            reload=lambda: load(options, messages),
            ask=None if yes or not now or confirm is not None else lambda subject: _ask(subject, settings),
        )
        with tells_waits(settings, messages):
            outcome = destruction.run()
    if outcome.interrupted is not None:
        messages.warn(LogEvent.COMMAND_INTERRUPTED, "interrupted; nothing was changed")
        return outcome.exit_code
    print_result(options, destroy_data(outcome), destroy_lines(outcome))
    if options.output in (None, Output.TABLE):
        for left in outcome.left_to_do:
            messages.tell(LogEvent.DESTROY_LEFT_TO_DO, f"Left to do: {left}.")
        if outcome.not_before is not None and not outcome.refusals:
            messages.tell(
                LogEvent.DESTROY_NEXT,
                f"`fluxbase-cli keys destroy --key-version {outcome.version} --confirm {outcome.fingerprint}` destroys "
                f"it for good, from {moment_text(outcome.not_before)} on; "
                f"`fluxbase-cli keys enable --key-version {outcome.version}` takes it back until then.",
            )
    return outcome.exit_code


def _refuse_unsaid(reason: str | None, *, now: bool, asks: bool) -> None:
    """Raise an error if a destruction at once has no reason, or would have to ask where nobody can answer."""
    if reason is not None and not reason.strip():
        raise ConfigurationError("--reason is empty", hint="Say why: it is kept in the record of events.")
    if now and reason is None:
        raise ConfigurationError("--now needs --reason", hint="Say why: it is kept in the record of events.")
    if now and asks and not can_ask():
        raise ConfigurationError(
            "--now destroys the key for good, and nobody can be asked: this is not a terminal",
            hint="Pass --yes if you mean it.",
        )


def _ask(subject: Subject, settings: Settings) -> None:
    """Show what would be destroyed, and ask.

    Raises:
        CancelledError: the operator does not agree.
    """
    ask(
        f"Destroy key version {subject.version} for good, now, if nothing needs it?",
        (
            f"Database:  {settings.database.describe()}",
            f"Key:       version {subject.version}, fingerprint {subject.fingerprint}",
            f"Source:    {subject.source}",
        ),
    )


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigurationError(
            "--keep-until is not a date", hint="Write it as 2027-03-31 or 2027-03-31T18:00+01:00."
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


_ENABLE_EXAMPLES = """\b
Example:
  fluxbase-cli keys enable --key-version 1
"""


def enable(options: Options, *, key_version: KeyVersion) -> int:
    """Enable a key again that `keys destroy` has disabled."""
    from fluxbase_cli.keys.enable import enable_key  # noqa: PLC0415  # start-up time

    messages = messages_for(options)
    settings = load(options, messages)
    with tells_waits(settings, messages):
        key = enable_key(settings, os.environ, key_version, warn=about(LogEvent.KEY_WARNING, messages.warn_once))
    data = {"key_version": key.version, "fingerprint": key.fingerprint, "source": key.source, "state": "enabled"}
    print_result(options, data, (f"✓ Key version {key.version} ({key.fingerprint}) is enabled",))
    return ExitCode.DONE
