"""The command group `fluxbase-cli security` with its commands `check`, `rules` and `explain`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fluxbase_cli.cli.groups import GROUPS
from fluxbase_cli.cli.listing import ColumnNames, chosen_columns, list_lines, print_list
from fluxbase_cli.cli.options import CHECK_OUTPUTS, LIST_OUTPUTS, Options, Output, command, command_group
from fluxbase_cli.cli.output import print_result, write
from fluxbase_cli.cli.suggest import did_you_mean
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.printable import lines

if TYPE_CHECKING:
    from fluxbase_cli.security.opening import Opened
    from fluxbase_cli.security.run import Report


class FailOn(StrEnum):
    """From which severity on a finding makes the exit code 3."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"
    NEVER = "never"


def make_app() -> typer.Typer:
    """Build the command group."""
    app = command_group(GROUPS["security"].help)
    app.command("check", epilog=_CHECK_EXAMPLES)(command(check, outputs=CHECK_OUTPUTS))
    app.command("rules", epilog=_RULES_EXAMPLES)(command(rules, outputs=LIST_OUTPUTS))
    app.command("explain", epilog=_EXPLAIN_EXAMPLES)(command(explain))
    return app


_CHECK_EXAMPLES = """\b
Examples:
  fluxbase-cli security check
  fluxbase-cli security check --url https://api.example.com
  fluxbase-cli security check --no-database --config fluxbase.yaml -o sarif
  fluxbase-cli security check --columns severity,rule,where
"""
_RULES_EXAMPLES = """\b
Examples:
  fluxbase-cli security rules
  fluxbase-cli security rules -o name \\
    | xargs -n 1 fluxbase-cli security explain
"""
_EXPLAIN_EXAMPLES = """\b
Example:
  fluxbase-cli security explain FB-RLS-001
"""


def check(  # noqa: PLR0913  # the options
    options: Options,
    *,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="Look at the live server too: eight requests, no sign-in."),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option("--ca", metavar="FILE", help="Trust these certificate authorities for --url.")
    ] = None,
    database: Annotated[
        bool, typer.Option("--database/--no-database", help="Look into the database. It is only read.")
    ] = True,
    env_file: Annotated[
        Path | None,
        typer.Option("--env-file", metavar="FILE", help="All variables of the server, as `env` prints them there."),
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(
            "--release",
            metavar="VERSION",
            help="The server's release. [default: as the database says, else the newest]",
        ),
    ] = None,
    production: Annotated[
        bool, typer.Option("--production", help="Check as in production, also if the address is that of this machine.")
    ] = False,
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            "--compare", metavar="FILE", help="A fluxbase.yaml that must not have the same secrets. Repeatable."
        ),
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Look at tables as a stranger: whether there is a row, never what is in it.")
    ] = False,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="End with exit code 3 if a finding has this severity or a higher one.")
    ] = FailOn.HIGH,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with exit code 1 if anything could not be checked.")
    ] = False,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="FILE", help="Leave out the findings of this earlier report (-o json)."),
    ] = None,
    show_accepted: Annotated[
        bool, typer.Option("--show-accepted", help="List the findings that an exception or the baseline accepts.")
    ] = False,
    columns: ColumnNames = None,
) -> int:
    """Check against the security checklist of the server's documentation. Changes nothing.

    Looks at the configuration as the server reads it, at the keys, at the database, and with --url at the live server.
    What could not be looked at is reported as not checked, never as passed.

    Exit code 0: nothing at or above --fail-on was found. 3: something was. 1: a part could not be looked at.
    """
    from fluxbase_cli.report.security.text import FINDINGS  # noqa: PLC0415  # start-up time
    from fluxbase_cli.security.exceptions import read_baseline  # noqa: PLC0415
    from fluxbase_cli.security.opening import Asked, open_facts  # noqa: PLC0415
    from fluxbase_cli.security.registry import all_rules  # noqa: PLC0415
    from fluxbase_cli.security.run import run_rules  # noqa: PLC0415

    chosen = chosen_columns(options, FINDINGS, columns)
    asked = Asked(
        options.config,
        options.database_url,
        database,
        env_file,
        url,
        ca,
        release,
        production,
        tuple(compare or ()),
        probe,
    )
    known = frozenset[str]() if baseline is None else read_baseline(baseline, Path.cwd())
    now = datetime.now(UTC)
    with open_facts(asked, directory=Path.cwd(), environ=os.environ, today=now.date()) as opened:
        report = run_rules(opened.facts, all_rules(), opened.exceptions, known)
    lines_of_list = list_lines(options, FINDINGS, report.findings, chosen)
    if lines_of_list is None:
        _print(options, report, opened, now, accepted=show_accepted)
    else:
        for line in lines_of_list:
            write(line)
    return _exit_code(report, opened, fail_on, strict=strict)


def _print(options: Options, report: Report, opened: Opened, now: datetime, *, accepted: bool) -> None:
    from fluxbase_cli.report.json_report import to_json  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.security.data import report_data  # noqa: PLC0415
    from fluxbase_cli.report.security.junit import report_junit  # noqa: PLC0415
    from fluxbase_cli.report.security.sarif import report_sarif  # noqa: PLC0415
    from fluxbase_cli.report.security.text import report_lines  # noqa: PLC0415

    if options.output is Output.SARIF:
        write(to_json(report_sarif(report, config_file=opened.config_file)))
    elif options.output is Output.JUNIT:
        write(lines(report_junit(report, now).splitlines()))
    else:
        told = report_lines(report, release=opened.release, looked_at=opened.looked_at, accepted=accepted)
        print_result(options, report_data(report, release=opened.release, looked_at=opened.looked_at), told)


def _exit_code(report: Report, opened: Opened, fail_on: FailOn, *, strict: bool) -> ExitCode:
    from fluxbase_cli.security.finding import Severity  # noqa: PLC0415  # start-up time

    if fail_on is not FailOn.NEVER and report.at_least(Severity[fail_on.name]):
        return ExitCode.CHECK_SAYS_NO
    parts = opened.parts
    failed = any(part is not None and part.failed for part in parts.values())
    nothing = all(parts[name] is not None for name in ("configuration", "database", "url"))
    return ExitCode.FAILED if failed or nothing or (strict and report.not_checked) else ExitCode.DONE


def rules(options: Options, *, columns: ColumnNames = None) -> int:
    """List the rules of the security check."""
    from fluxbase_cli.report.security.data import rule_data  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.security.text import RULES  # noqa: PLC0415
    from fluxbase_cli.security.registry import all_rules  # noqa: PLC0415

    chosen, known = chosen_columns(options, RULES, columns), all_rules()
    print_list(options, {"rules": [rule_data(each) for each in known]}, RULES, known, chosen, RULES.table(known))
    return ExitCode.DONE


def explain(
    options: Options,
    *,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The rule's id, as in FB-RLS-001.", show_default=False)],
) -> int:
    """Explain a rule: what it checks, why, and what to do."""
    from fluxbase_cli.report.security.data import rule_data  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.security.text import rule_lines  # noqa: PLC0415
    from fluxbase_cli.security.registry import all_rules, find_rule  # noqa: PLC0415

    found = find_rule(rule)
    if found is None:
        sentence = did_you_mean(rule, (each.id for each in all_rules()))
        raise ConfigurationError(
            f"there is no rule {rule!r}",
            hint=(f"{sentence} " if sentence else "") + "`fluxbase-cli security rules` lists all of them.",
        )
    print_result(options, rule_data(found), rule_lines(found))
    return ExitCode.DONE
