"""The commands `secrets report` and `secrets report verify`: evidence for a change ticket and an auditor."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fluxbase_cli.cli.context import load, messages_for
from fluxbase_cli.cli.default_command import group_with_default
from fluxbase_cli.cli.option_types import whole_number
from fluxbase_cli.cli.options import Options, Output, command
from fluxbase_cli.cli.output import write
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.log_events import LogEvent

if TYPE_CHECKING:
    from fluxbase_cli.printable import Lines


class Format(StrEnum):
    """The form of a report."""

    HTML = "html"
    MARKDOWN = "markdown"
    JSON = "json"
    YAML = "yaml"


_SUFFIXES = {
    ".html": Format.HTML,
    ".htm": Format.HTML,
    ".md": Format.MARKDOWN,
    ".json": Format.JSON,
    ".yaml": Format.YAML,
    ".yml": Format.YAML,
}
_EXAMPLES = """\b
Examples:
  fluxbase-cli secrets report
  fluxbase-cli secrets report 7 --format html --out job-7.html
  fluxbase-cli secrets report 7 --format json | jq .jobs[0].totals
  fluxbase-cli secrets report --rotation 3 --out rotation-3.md
"""


def make_app() -> typer.Typer:
    """Build the command with its subcommand."""
    app = group_with_default(_GROUP_HELP, default="job")
    app.command("job", epilog=_EXAMPLES, hidden=True)(command(report))
    return app


_GROUP_HELP = "Write a report of a job or a rotation, for a change ticket and an auditor."


def report(
    options: Options,
    *,
    job: Annotated[
        int | None,
        typer.Argument(parser=whole_number(least=1), metavar="[JOB]", help="The job. [default: the newest one]"),
    ] = None,
    rotation: Annotated[
        int | None,
        typer.Option(
            "--rotation",
            parser=whole_number(least=0),
            metavar="N",
            help="Report this rotation with all its jobs. 0: the newest one.",
        ),
    ] = None,
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="The form. [default: by the name of --out, otherwise markdown]"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write it to this file. A file that is there is replaced."),
    ] = None,
) -> int:
    """Write a report of a job or a rotation, for a change ticket and an auditor.

    What, where, who, when and why; the fingerprints of the keys; values by location before and after; progress and
    waits; what could not be opened; the closing audit; what became of the old key; how long the server was away. The
    database is only read. A report has no key and no value in it.
    """
    from fluxbase_cli.evidence.collect import Subject, collect  # noqa: PLC0415  # start-up time

    if job is not None and rotation is not None:
        raise ConfigurationError("JOB and --rotation can't go together", hint="A rotation's report has all its jobs.")
    form = _form(options, format_, out)
    found = collect(load(options).database, Subject(job, rotation))
    text = _rendered(found, form)
    if out is None:
        write(text)
        return ExitCode.DONE
    _put(out, text)
    messages_for(options).tell(LogEvent.REPORT_WRITTEN, f"✓ Wrote {out}")
    return ExitCode.DONE


def _form(options: Options, given: Format | None, out: Path | None) -> Format:
    """The form of the report: as --format says, else --output, else the name of the file."""
    wanted = None if options.output in (None, Output.TABLE) else Format(str(options.output))
    if given is not None and wanted is not None and given is not wanted:
        raise ConfigurationError(f"--format {given} and --output {wanted} can't go together", hint="Leave one out.")
    by_name = None if out is None else _SUFFIXES.get(out.suffix.lower())
    return given or wanted or by_name or Format.MARKDOWN


def _rendered(found: dict[str, Any], form: Format) -> Lines:
    from fluxbase_cli.report.evidence.markdown import to_markdown  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.json_report import to_json, to_yaml  # noqa: PLC0415

    match form:
        case Format.HTML:
            # Jinja is imported only for HTML.
            from fluxbase_cli.report.evidence.html import to_html  # noqa: PLC0415

            return to_html(found)
        case Format.JSON:
            return to_json(found)
        case Format.YAML:
            return to_yaml(found)
        case Format.MARKDOWN:
            return to_markdown(found)


def _put(path: Path, text: str) -> None:
    from fluxbase_cli.config.replace_file import put_file  # noqa: PLC0415  # start-up time

    try:
        put_file(path, f"{text}\n".encode("utf-8", "backslashreplace"), mode=0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be written: {error.strerror or type(error).__name__}",
            hint="--out needs the name of a regular file in a folder that you may write.",
        ) from None
    except ValueError:
        raise ConfigurationError("--out has a name that can't be a file's", hint="Correct the path.") from None
