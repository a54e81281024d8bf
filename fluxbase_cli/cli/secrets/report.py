"""The command `secrets report`: evidence for a change ticket and an auditor."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fluxbase_cli.cli.context import load, messages_for
from fluxbase_cli.cli.default_command import group_with_default
from fluxbase_cli.cli.groups import GROUPS
from fluxbase_cli.cli.option_types import whole_number
from fluxbase_cli.cli.options import Options, Output, command
from fluxbase_cli.cli.output import write
from fluxbase_cli.cli.secrets import verify
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.log_events import LogEvent, about

if TYPE_CHECKING:
    from fluxbase_cli.config import Secret, Settings
    from fluxbase_cli.printable import Lines
    from fluxbase_cli.report.messages import Messages


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
  fluxbase-cli secrets report 7 --out job-7.html --sign report-key.pem
  fluxbase-cli report verify job-7.html.dsse.json --key auditor.pem --database
"""
_PASSPHRASE = "FLUXBASE_CLI_SIGN_PASSPHRASE"  # noqa: S105  # the name of a variable


def add_to(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.add_typer(make_app(), name="report")


def make_app() -> typer.Typer:
    """Build the command with its subcommand."""
    app = group_with_default(GROUPS["report"].help, default="job")
    app.command("job", epilog=_EXAMPLES, hidden=True)(command(report))
    verify.add_to(app)
    return app


def report(  # noqa: PLR0913  # a command's options
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
    sign: Annotated[
        str | None,
        typer.Option(
            "--sign",
            metavar="KEY",
            help="Sign it with this key: an Ed25519 key in a PEM file, vault-transit:[MOUNT/]NAME, or aws-kms:KEY. "
            "Writes an in-toto statement in a DSSE envelope; with HTML or Markdown, beside it as FILE.dsse.json.",
        ),
    ] = None,
) -> int:
    """Report a job or a rotation, for a change ticket and an auditor.

    What, where, who, when and why; the fingerprints of the keys; values by location before and after; progress and
    waits; what could not be opened; the closing audit; what became of the old key; how long the server was away. The
    database is only read. A report has no key and no value in it.
    """
    from fluxbase_cli.evidence.collect import Subject, collect  # noqa: PLC0415  # start-up time

    if job is not None and rotation is not None:
        raise ConfigurationError(
            "JOB and --rotation can't go together",
            hint="Leave one of the two out: a rotation's report has all its jobs.",
        )
    form = _form(options, format_, out, signs=sign is not None)
    if sign is not None and form in {Format.HTML, Format.MARKDOWN} and out is None:
        raise ConfigurationError(
            f"a signed report as {form} is two files, so --out is needed",
            hint="Add --out FILE, or leave --format out: then it is one file.",
        )
    if sign is not None and form is Format.YAML:
        raise ConfigurationError("a signed report is JSON", hint="Leave --format and --output out.")
    messages, settings = messages_for(options), load(options)
    found = collect(settings.database, Subject(job, rotation))
    text = _rendered(found, form)
    if sign is not None:
        from fluxbase_cli.evidence.signing.statement import ENVELOPE_SUFFIX  # noqa: PLC0415  # start-up time

        # Signed first: a report without its signature must not look like a signed one.
        files = {} if form is Format.JSON or out is None else {out.name: _file_bytes(text)}
        envelope = _signed(found, sign, files, settings, messages)
        if out is None or form is Format.JSON:
            text = envelope
        else:
            _put(out.with_name(f"{out.name}{ENVELOPE_SUFFIX}"), envelope)
            messages.tell(LogEvent.REPORT_WRITTEN, f"✓ Wrote {out.name}{ENVELOPE_SUFFIX}")
    if out is None:
        write(text)
        return ExitCode.DONE
    _put(out, text)
    messages.tell(LogEvent.REPORT_WRITTEN, f"✓ Wrote {out}")
    return ExitCode.DONE


def _signed(found: dict[str, Any], sign: str, files: dict[str, bytes], settings: Settings, messages: Messages) -> Lines:
    """The envelope of a report."""
    from fluxbase_cli.evidence.signing.sources import find_signer  # noqa: PLC0415  # start-up time
    from fluxbase_cli.evidence.signing.statement import make_envelope, make_statement  # noqa: PLC0415
    from fluxbase_cli.printable import Lines  # noqa: PLC0415

    warn = about(LogEvent.KEY_WARNING, messages.warn_once)
    signer = find_signer(sign, settings, os.environ, passphrase=_passphrase, warn=warn)
    envelope = make_envelope(make_statement(found, files), signer)
    messages.tell(LogEvent.REPORT_SIGNED, f"✓ Signed with the key {signer.public_key.keyid}")
    return Lines(envelope.decode("ascii").rstrip("\n"))


def _passphrase() -> Secret | None:
    """The passphrase of the signing key: from the environment, else from the terminal. None: nobody can be asked."""
    from fluxbase_cli.cli.ask import ask_secret  # noqa: PLC0415  # start-up time
    from fluxbase_cli.config import Secret  # noqa: PLC0415

    given = os.environ.get(_PASSPHRASE)
    return Secret(given) if given is not None else ask_secret("Passphrase of the signing key")


def _form(options: Options, given: Format | None, out: Path | None, *, signs: bool) -> Format:
    """The form of the report: as --format says, else --output, else the name of the file. A signed report is JSON."""
    wanted = None if options.output in (None, Output.TABLE) else Format(str(options.output))
    if given is not None and wanted is not None and given is not wanted:
        raise ConfigurationError(f"--format {given} and --output {wanted} can't go together", hint="Leave one out.")
    by_name = None if out is None else _SUFFIXES.get(out.suffix.lower())
    if out is not None and out.suffix and not (by_name or given or wanted or signs):
        raise ConfigurationError(
            f"--out {out.name}: no report is written in the form {out.suffix}",
            hint=f"Give --format, or a name that ends with one of {', '.join(_SUFFIXES)}.",
        )
    return given or wanted or by_name or (Format.JSON if signs else Format.MARKDOWN)


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


def _file_bytes(text: str) -> bytes:
    return f"{text}\n".encode("utf-8", "backslashreplace")


def _put(path: Path, text: str) -> None:
    from fluxbase_cli.config.replace_file import put_file  # noqa: PLC0415  # start-up time

    try:
        put_file(path, _file_bytes(text), mode=0o600)
    except OSError as error:
        raise ConfigurationError(
            f"--out {path} can't be written: {error.strerror or type(error).__name__}",
            hint="Name a regular file, or a new file, in a folder where you may write.",
        ) from None
    except ValueError:
        raise ConfigurationError("--out has a name that can't be a file's", hint="Correct the path.") from None
