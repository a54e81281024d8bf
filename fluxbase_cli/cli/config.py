"""The command group `fluxbase-cli config` with its command `check`."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

from fluxbase_cli.cli.context import load, messages_for
from fluxbase_cli.cli.fleet import with_fleet
from fluxbase_cli.cli.groups import GROUPS
from fluxbase_cli.cli.options import LIST_OUTPUTS, Options, command, command_group
from fluxbase_cli.cli.output import print_result
from fluxbase_cli.errors import ExitCode, FluxbaseCliError
from fluxbase_cli.log_events import LogEvent, about

if TYPE_CHECKING:
    from fluxbase_cli.catalogue.releases import Release
    from fluxbase_cli.config import Settings
    from fluxbase_cli.keys.inventory import KeyList
    from fluxbase_cli.store.findings import Finding

_CLOCKS_MAY_DIFFER = timedelta(minutes=1)


def make_app() -> typer.Typer:
    """Build the command group."""
    app = command_group(GROUPS["config"].help)
    app.command("check", epilog=_CHECK_EXAMPLES)(command(with_fleet(check), fleet_outputs=LIST_OUTPUTS))
    return app


_CHECK_EXAMPLES = """\b
Example:
  fluxbase-cli config check --config /etc/fluxbase/fluxbase.yaml
"""


def check(options: Options) -> int:
    """Check the configuration, the keys and the database.

    Shows what is configured and where it was found, what can be reached, and what is missing. Never prints a secret.

    Exit code 0: a re-encryption can begin. 2: something is missing or wrong. 1: the database can't be reached.
    """
    from fluxbase_cli.report.config_check import check_lines  # noqa: PLC0415  # start-up time

    messages = messages_for(options)
    settings = load(options, messages)
    findings, release, code = _examine(settings)
    listed = _list_keys(settings, findings, about(LogEvent.KEY_WARNING, messages.warn_once))
    keys = [] if listed is None else _keys(listed, findings)
    now = _server_time(settings, findings)
    if listed is not None:
        findings += _server(settings, listed, release)
    findings += _rotation(settings, now)
    if any(finding["verdict"] == "refuse" for finding in findings) and code == ExitCode.DONE:
        code = ExitCode.USAGE
    data = {
        "ok": code == ExitCode.DONE,
        "config_file": None if settings.config_file is None else str(settings.config_file),
        "env_file": None if settings.env_file is None else str(settings.env_file),
        "database": settings.database.describe(),
        "keys": keys,
        "checks": findings,
        "warnings": list(settings.warnings),
    }
    print_result(options, data, check_lines(data))
    return code


def _list_keys(settings: Settings, findings: list[dict[str, Any]], warn: Callable[[str], None]) -> KeyList | None:
    """Read all keys. If a key can't be used, add a finding and return None."""
    from fluxbase_cli.keyring import no_warning  # noqa: PLC0415  # start-up time
    from fluxbase_cli.keys.inventory import list_keys  # noqa: PLC0415

    unreachable = any(finding["check"] == "connection" for finding in findings)
    try:
        # If the database can't be reached, a finding says so already.
        return list_keys(settings, os.environ, warn=no_warning if unreachable else warn)
    except FluxbaseCliError as error:
        findings.insert(0, _finding("keys", "refuse", error.message, error.hint))
        return None


def _keys(listed: KeyList, findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the keys as data, and add a finding for each warning."""
    from fluxbase_cli.report.keys import keys_data  # noqa: PLC0415  # start-up time

    keys = keys_data(listed.keys)
    for key in reversed(keys):
        for warning in key["warnings"]:
            findings.insert(0, _finding("keys", "tell", f"key version {key['version']}: {warning}", None))
    return keys


def _server_time(settings: Settings, findings: list[dict[str, Any]]) -> datetime | None:
    """Return the time of the server's clock, or None. Add a finding if the clock of this machine differs."""
    from fluxbase_cli.duration import format_duration  # noqa: PLC0415  # start-up time
    from fluxbase_cli.store.clock import server_time  # noqa: PLC0415

    if any(finding["check"] == "connection" for finding in findings):
        return None
    try:
        now = server_time(settings.database)
    except FluxbaseCliError:
        # The database answered a moment ago. The next command will say what is wrong.
        return None
    ahead = datetime.now(UTC) - now
    if abs(ahead) > _CLOCKS_MAY_DIFFER:
        by = format_duration(abs(ahead))
        where = "ahead of" if ahead > timedelta(0) else "behind"
        findings.append(
            _finding(
                "clock",
                "tell",
                f"this machine's clock is {by} {where} the database server's; all dates are by the server's clock",
                "Correct it: certificates, logins and signatures depend on it.",
            )
        )
    return now


def _server(settings: Settings, listed: KeyList, release: Release | None) -> list[dict[str, Any]]:
    """Check what a cutover of a server with one key needs, and whether the configuration suits the server."""
    from fluxbase_cli.server.checkup import examine_server_settings  # noqa: PLC0415  # start-up time

    found = examine_server_settings(settings, os.environ, listed.keyring, release)
    return [_finding_data(finding) for finding in found]


def _rotation(settings: Settings, now: datetime | None) -> list[dict[str, Any]]:
    """Check whether the settings of the scheduled rotation can be used. Return nothing if it is off."""
    written = settings.encryption.key_rotation
    if not written.enabled:
        return []
    from fluxbase_cli.moments import moment_text  # noqa: PLC0415
    from fluxbase_cli.rotation.policy import read_policy  # noqa: PLC0415  # start-up time

    try:
        policy = read_policy(written)
    except FluxbaseCliError as error:
        return [_finding("rotation", "refuse", error.message, error.hint)]
    receiver = "" if policy.webhook is None else f", notifications go to {policy.webhook.host}"
    if now is None:
        return [_finding("rotation", "good", f"its schedule can be read{receiver}", None)]
    date = None if policy.schedule is None else policy.schedule.next_after(now)
    when = "never" if date is None else moment_text(date)
    return [_finding("rotation", "good", f"its next date is {when}{receiver}", None)]


def _examine(settings: Settings) -> tuple[list[dict[str, Any]], Release | None, ExitCode]:
    from fluxbase_cli.engine.prepare.checkup import examine_database  # noqa: PLC0415  # start-up time

    try:
        checkup = examine_database(settings.database)
    except FluxbaseCliError as error:
        return [_finding("connection", "refuse", error.message, error.hint)], None, error.exit_code
    return [_finding_data(finding) for finding in checkup.findings], checkup.release, ExitCode.DONE


def _finding_data(finding: Finding) -> dict[str, Any]:
    return _finding(finding.check, finding.status.value, finding.message, finding.remedy)


def _finding(check: str, status: str, message: str, remedy: str | None) -> dict[str, Any]:
    return {"check": check, "verdict": status, "message": message, "remedy": remedy}
