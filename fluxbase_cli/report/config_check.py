"""What `config check` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fluxbase_cli.printable import as_printed
from fluxbase_cli.report.table import paragraph

_MARKS = {"good": "✓", "tell": "!", "refuse": "✗"}


def check_lines(data: dict[str, Any]) -> Iterator[str]:
    """The result as text.

    Args:
        data: the result as JSON has it.
    """
    beside = " " * len("Configuration: ")
    yield from paragraph(data["config_file"] or "no fluxbase.yaml found", "Configuration: ", beside)
    yield from paragraph(data["env_file"] or "no .env file found", "Environment:   ", beside)
    yield from paragraph(data["database"], "Database:      ", beside)
    for key in data["keys"]:
        active = ", active" if key["active"] else ""
        active += ", the server has it" if key.get("server") else ""
        active += "" if key["state"] == "enabled" else f", {key['state']}"
        where = f"{key['provider']}{active} ({key['source']})"
        text = f"Key version {key['version']}: fingerprint {key['fingerprint']}, {where}"
        yield from paragraph(text, hanging="    ")
    for warning in data["warnings"]:
        yield from paragraph(warning, "! ", "  ")
    for finding in data["checks"]:
        yield from paragraph(f"{finding['check']}: {finding['message']}", f"{_MARKS[finding['verdict']]} ", "  ")
        if finding["remedy"] and finding["verdict"] != "good":
            yield from _remedy(as_printed(finding["remedy"]))
    yield "Ready." if data["ok"] else "Not ready."


def _remedy(text: str) -> Iterator[str]:
    """What to do. Several lines are something to paste, and stay as they are."""
    if "\n" in text:
        yield from (f"    {line}".rstrip() for line in text.split("\n"))
    else:
        yield from paragraph(text, "    ")
