"""The help topic `exit-codes`. A test holds it to the table in docs/operators/scripting.md."""

from __future__ import annotations

from collections.abc import Iterator

#: What `help` explains beside commands, with what it is.
HELP_TOPICS = (("exit-codes", "What each exit code means"),)
#: Each exit code with its meaning.
EXIT_CODES = (
    ("0", "done"),
    ("1", "failed; what was committed stays, run it again to resume"),
    ("2", "wrong usage or configuration, or the database or the role is not fit; nothing was touched"),
    ("3", "the check says no: see below"),
    ("4", "done, but some values could not be opened, or something could not be examined; all of it is listed"),
    ("5", "another job or rotation is running; `--join` helps a job"),
    ("6", "stopped before the first write: the key given is not the key that sealed these values"),
    (
        "130, 143",
        "interrupted by SIGINT or `secrets stop`, by SIGTERM; the batches in progress were finished and recorded",
    ),
)
#: What a "no" can be.
CHECKS = (
    "A check that says no (3): the audit found values under the version asked for, a destroy was refused, a rotation "
    "is due (`rotation plan`), a plan does not fit any more, a report does not verify, or a security rule is broken."
)


def exit_code_lines() -> Iterator[str]:
    """The topic as text, in 80 columns."""
    from fluxbase_cli.report.table import paragraph  # noqa: PLC0415  # start-up time

    yield "Exit codes"
    yield ""
    width = max(len(code) for code, _ in EXIT_CODES)
    for code, meaning in EXIT_CODES:
        yield from paragraph(meaning, f"  {code:<{width}}  ", " " * (width + 4))
    yield ""
    yield from paragraph(CHECKS)
    yield from paragraph("What each code means for each command: docs/operators/scripting.md.")
