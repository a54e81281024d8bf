"""The command group `fluxbase-cli security`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fluxbase_cli.cli.options import Options, command, command_group
from fluxbase_cli.cli.output import print_result
from fluxbase_cli.errors import ExitCode, FluxbaseCliError

if TYPE_CHECKING:
    from fluxbase_cli.security.facts import Facts

_GROUP_HELP = "Check configuration and database against the server's security checklist."


def make_app() -> typer.Typer:
    """Build the command group."""
    app = command_group(_GROUP_HELP)
    app.command("check")(command(check))
    return app


def check(
    options: Options,
    *,
    database: Annotated[
        bool, typer.Option("--database/--no-database", help="Look into the database. It is only read.")
    ] = True,
    production: Annotated[
        bool, typer.Option("--production", help="Check as in production, also if the address is that of this machine.")
    ] = False,
) -> int:
    """Check configuration and database against the security checklist. Changes nothing.

    Exit code 0: no rule is broken that is high or critical. 3: one is. 1: the database can't be reached.
    """
    from fluxbase_cli.report.security import report_data, report_lines  # noqa: PLC0415  # start-up time
    from fluxbase_cli.security.facts import Absent  # noqa: PLC0415
    from fluxbase_cli.security.finding import Severity  # noqa: PLC0415
    from fluxbase_cli.security.registry import all_rules  # noqa: PLC0415
    from fluxbase_cli.security.run import run_rules  # noqa: PLC0415

    with ExitStack() as stack:
        facts = _facts(options, stack, database=database, production=production)
        report = run_rules(facts, all_rules())
    print_result(options, report_data(report), report_lines(report))
    if report.at_least(Severity.HIGH):
        return ExitCode.CHECK_SAYS_NO
    parts = (facts.read_configuration, facts.read_database)
    failed = any(isinstance(part, Absent) and part.failed for part in parts)
    return ExitCode.FAILED if failed else ExitCode.DONE


def _facts(options: Options, stack: ExitStack, *, database: bool, production: bool) -> Facts:
    from fluxbase_cli.config.database import read_database  # noqa: PLC0415  # start-up time
    from fluxbase_cli.config.reader import Reader  # noqa: PLC0415
    from fluxbase_cli.security.configuration.opening import open_configuration  # noqa: PLC0415
    from fluxbase_cli.security.database.session import DatabaseFacts, open_database  # noqa: PLC0415
    from fluxbase_cli.security.facts import Absent, Facts  # noqa: PLC0415
    from fluxbase_cli.security.generation import read_generation  # noqa: PLC0415

    configuration = open_configuration(config=options.config, directory=Path.cwd(), environ=os.environ)
    found: DatabaseFacts | Absent = Absent("the database was left out (--no-database)")
    if database:
        reader = Reader(configuration.document, configuration.environment)
        settings = read_database(reader, options.database_url)
        try:
            found = stack.enter_context(open_database(settings))
        except FluxbaseCliError as error:
            found = Absent(error.message, failed=True)
    generation = None if isinstance(found, Absent) else found.read(read_generation)
    return Facts(datetime.now(UTC).date(), generation, production, configuration, found)
