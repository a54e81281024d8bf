"""The command `secrets report verify`: checks a signed report, and whether the database still says the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fluxbase_cli.cli.context import load, messages_for, with_keys
from fluxbase_cli.cli.options import Options, command
from fluxbase_cli.cli.output import print_result
from fluxbase_cli.errors import ConfigurationError, ExitCode, interrupted_code

if TYPE_CHECKING:
    from fluxbase_cli.report.evidence.verified import DatabaseCheck

_EXAMPLES = """\b
Examples:
  fluxbase-cli report verify job-7.json --key auditor.pem
  fluxbase-cli report verify job-7.html.dsse.json --key auditor.pem --database
"""


def add_to(app: typer.Typer) -> None:
    """Add the command to the group of reports."""
    app.command("verify", epilog=_EXAMPLES)(command(verify))


def verify(
    options: Options,
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The signed report, as job.html.dsse.json.", show_default=False)
    ],
    key: Annotated[
        Path, typer.Option("--key", metavar="PUBLIC.pem", help="The public key of the person who signed it.")
    ],
    database: Annotated[
        bool, typer.Option("--database", help="Check too that the database still says the same. It is only read.")
    ] = False,
    skip_audit: Annotated[
        bool,
        typer.Option("--skip-audit", help="With --database: do not open the values. This needs no keys of Fluxbase."),
    ] = False,
) -> int:
    """Check that a report is signed by the key, and unchanged.

    FILE is what `secrets report --sign` wrote: for job.html it is job.html.dsse.json. No byte of it may be changed.

    With --database it is compared with the records of the database, and every value is opened: whether values need the
    old key again.

    Exit code 0: it verifies. 3: it does not, a file beside it was changed, or the database says something else.
    4: it verifies, and something in the database could not be examined.
    """
    from fluxbase_cli.evidence.signing.public_key import read_public_key  # noqa: PLC0415  # start-up time
    from fluxbase_cli.evidence.signing.verification import read_envelope  # noqa: PLC0415
    from fluxbase_cli.evidence.signing.verification import verify as verify_report  # noqa: PLC0415
    from fluxbase_cli.report.evidence.verified import verified_data, verified_lines  # noqa: PLC0415

    if skip_audit and not database:
        raise ConfigurationError(
            "--skip-audit is for --database",
            hint="Add --database, or leave --skip-audit out: without --database nothing is opened.",
        )
    public_key = read_public_key(key)
    verified = verify_report(read_envelope(file), public_key, file.parent)
    check: DatabaseCheck | None = None
    if database:
        found = _check(options, verified.report, skip_audit=skip_audit)
        if isinstance(found, int):
            return found
        check = found
    print_result(options, verified_data(verified, check), verified_lines(verified, check))
    if any(each.is_same is False for each in verified.files) or (check is not None and check.differences):
        return ExitCode.CHECK_SAYS_NO
    if check is not None and check.values is not None and check.values.unexamined:
        return ExitCode.UNDECRYPTABLE_LEFT
    return ExitCode.DONE


def _check(options: Options, report: dict[str, Any], *, skip_audit: bool) -> DatabaseCheck | int:
    """Compare a report with the database. A number: it was interrupted."""
    from fluxbase_cli.cli.signals import stop_on_signals  # noqa: PLC0415  # start-up time
    from fluxbase_cli.engine.stop import Stop  # noqa: PLC0415
    from fluxbase_cli.evidence.comparison import (  # noqa: PLC0415
        audit_values,
        compare_records,
        compare_values,
        is_completed,
    )
    from fluxbase_cli.report.evidence.verified import DatabaseCheck  # noqa: PLC0415
    from fluxbase_cli.report.progress import progress_for  # noqa: PLC0415

    if skip_audit or not is_completed(report):
        why = "--skip-audit was given" if skip_audit else "the job was not completed, so they can be under several keys"
        return DatabaseCheck(compare_records(report, load(options).database), None, why)
    messages, stop = messages_for(options), Stop()
    loaded = with_keys(load(options, messages), messages)
    database = loaded.settings.database
    differences = compare_records(report, database)
    with stop_on_signals(stop, messages.tell), progress_for(messages, color=options.color) as progress:
        values = audit_values(report, database, loaded.keyring, stop=stop, observer=progress)
    if stop.requested:
        return interrupted_code(stop.signal)
    return DatabaseCheck([*differences, *compare_values(report, values)], values)
