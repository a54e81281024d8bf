"""What `config check` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fluxbase_cli.printable import as_printed

_MARKS = {"good": "✓", "tell": "!", "refuse": "✗"}


def check_lines(data: dict[str, Any]) -> Iterator[str]:
    """The result as text. A terminal breaks long lines; elsewhere each stays one line, so that `grep` finds it.

    Args:
        data: the result as JSON has it.
    """
    yield f"Configuration: {data['config_file'] or 'no fluxbase.yaml found'}"
    yield f"Environment:   {data['env_file'] or 'no .env file found'}"
    yield f"Database:      {data['database']}"
    for key in data["keys"]:
        active = ", active" if key["active"] else ""
        active += ", the server has it" if key.get("server") else ""
        active += "" if key["state"] == "enabled" else f", {key['state']}"
        where = f"{key['provider']}{active} ({key['source']})"
        yield f"Key version {key['version']}: fingerprint {key['fingerprint']}, {where}"
    for warning in data["warnings"]:
        yield f"! {warning}"
    for finding in data["checks"]:
        yield f"{_MARKS[finding['verdict']]} {finding['check']}: {finding['message']}"
        if finding["remedy"] and finding["verdict"] != "good":
            # Several lines are something to paste.
            yield from (f"    {line}".rstrip() for line in as_printed(finding["remedy"]).split("\n"))
    yield "Ready." if data["ok"] else "Not ready."
