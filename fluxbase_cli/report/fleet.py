"""The output of `--fleet`: the messages of the instances while they run, and their results."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fluxbase_cli.counts import secrets
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.fleet.file import Fleet, Instance
from fluxbase_cli.fleet.outcome import FleetResult, InstanceResult, Outcome
from fluxbase_cli.fleet.run import InstanceMessage
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.printable import lines
from fluxbase_cli.report.columns import Column, Listing
from fluxbase_cli.report.messages import Messages

#: How often the progress of an instance is shown, in seconds. A command on one instance shows it every five seconds.
_PROGRESS_EVERY_S = 30.0


class FleetMessages:
    """Shows the messages of instances. Each line begins with the name of the instance. Several threads may call it."""

    def __init__(self, messages: Messages, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._messages = messages
        self._clock = clock
        self._progress_shown_at: dict[str, float] = {}

    def started(self, instance: Instance) -> None:
        """The process of an instance was started."""
        self._progress_shown_at[instance.name] = self._clock()
        self._say(LogEvent.INSTANCE_STARTED, "info", instance, "started")

    def heard(self, instance: Instance, message: InstanceMessage) -> None:
        """An instance has sent a message."""
        if message.fields.get("event") == LogEvent.JOB_PROGRESS and not self._progress_is_due(instance):
            return
        fields = dict(message.fields)
        hint = fields.pop("hint", None)
        self._say(
            _event_of(fields.pop("event", None)),
            message.level,
            instance,
            message.text,
            hint if isinstance(hint, str) else None,
            fields,
        )

    def ended(self, result: InstanceResult) -> None:
        """The process of an instance has ended."""
        code = "" if result.exit_code == ExitCode.DONE else f" (exit {result.exit_code})"
        text = f"{_in_words(result.outcome)} after {_seconds(result)}s{code}"
        self._say(LogEvent.INSTANCE_ENDED, "info", result.instance, text, fields={"outcome": result.outcome.value})

    def _progress_is_due(self, instance: Instance) -> bool:
        now = self._clock()
        if now - self._progress_shown_at.get(instance.name, now) < _PROGRESS_EVERY_S:
            return False
        self._progress_shown_at[instance.name] = now
        return True

    def _say(  # noqa: PLR0913, PLR0917  # the parts of a message
        self,
        event: LogEvent,
        level: str,
        instance: Instance,
        text: str,
        hint: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        # The instance has escaped all line ends but those between lines.
        parts = text.rstrip().split("\n")
        shown = lines(parts if self._messages.as_json else (f"{instance.name}: {part}" for part in parts))
        all_fields = {**(fields or {}), "instance": instance.name}
        if level == "error":
            self._messages.fail(event, shown, None if hint is None else lines(hint.split("\n")), **all_fields)
        elif level == "warning":
            self._messages.warn(event, shown, **all_fields)
        else:
            self._messages.tell(event, shown, **all_fields)


def plan_lines(fleet: Fleet, command: Sequence[str], parallel: int) -> Iterator[str]:
    """What the command will do, before it asks for confirmation."""
    count = len(fleet.instances)
    yield f"Command:   {shlex.join(command)}"
    yield f"Fleet:     {fleet.path}"
    yield f"Instances: {count}, {min(parallel, count)} at a time"
    width = max(len(instance.name) for instance in fleet.instances)
    for instance in fleet.instances:
        yield f"  {instance.name.ljust(width)}  {instance.config}"


def fleet_data(command: str, result: FleetResult) -> dict[str, Any]:
    """The results of the fleet as one object."""
    return {
        "command": command,
        "instances": [
            {
                "name": each.instance.name,
                "config": str(each.instance.config),
                "exit_code": each.exit_code,
                "outcome": each.outcome.value,
                "elapsed_seconds": round(each.elapsed_s, 3),
                "result": each.result,
                "error": each.error,
            }
            for each in result.instances
        ],
        "exit_code": result.exit_code,
        "done": result.done,
        "failed": result.failed,
    }


def fleet_lines(command: str, result: FleetResult) -> Iterator[str]:
    """One line for each instance, and a summary."""
    for each in result.instances:
        yield _instance_line(command, each)
    outcomes = Counter(each.outcome for each in result.instances)
    counted = ", ".join(f"{outcomes[outcome]} {_in_words(outcome)}" for outcome in Outcome if outcomes[outcome])
    count = len(result.instances)
    yield f"{count} {'instance' if count == 1 else 'instances'}: {counted}"


def _instance_line(command: str, result: InstanceResult) -> str:
    name = result.instance.name
    if result.outcome is Outcome.NOT_STARTED:
        return f"- {name}: {result.error}"
    mark = {Outcome.DONE: "✓", Outcome.UNDECRYPTABLE: "!"}.get(result.outcome, "✗")
    code = "" if result.exit_code == ExitCode.DONE else f"exit {result.exit_code}: "
    summary = _SUMMARIES[command](result.result) if command in _SUMMARIES and result.result else ""
    if result.error is not None:
        return f"{mark} {name}: {code}{result.error}" + (f" ({summary})" if summary else "")
    return f"{mark} {name}: {code}{summary}{', ' if summary else ''}{_seconds(result)}s"


def _job_summary(result: Mapping[str, Any]) -> str:
    verb = "would re-encrypt" if result.get("state") == "dry-run" else "re-encrypted"
    counts = [
        ("scanned", result.get("scanned", 0)),
        (verb, result.get("re_encrypted", 0)),
        ("already current", result.get("already_current", 0)),
    ]
    if result.get("undecryptable"):
        counts.append(("undecryptable", result["undecryptable"]))
    return ", ".join(f"{name} {count}" for name, count in counts)


def _audit_summary(result: Mapping[str, Any]) -> str:
    version = result.get("key_version")
    left = f", undecryptable {result['undecryptable']}" if result.get("undecryptable") else ""
    if version is not None:
        found = secrets(result["found"]) if result.get("found") else "no secrets"
        return f"{found} found encrypted with key version {version}{left}"
    versions = "".join(f", version {key}: {count}" for key, count in result.get("by_version", {}).items())
    return f"scanned {result.get('scanned', 0)}{versions}{left}"


def _check_summary(result: Mapping[str, Any]) -> str:
    return "ready" if result.get("ok") else ""


def _no_summary(_result: Mapping[str, Any]) -> str:
    return ""


#: The summary of an instance's result in one line, by command. Other commands show only outcome and time.
_SUMMARIES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "secrets re-encrypt": _job_summary,
    "secrets rollback": _job_summary,
    "secrets audit": _audit_summary,
    "config check": _check_summary,
}


def _event_of(name: object) -> LogEvent:
    """The event of an instance's message. What is not a message of ours is its output."""
    try:
        return LogEvent(str(name))
    except ValueError:
        return LogEvent.INSTANCE_OUTPUT


def _in_words(outcome: Outcome) -> str:
    return outcome.value.replace("-", " ")


def _seconds(result: InstanceResult) -> int:
    return max(1, round(result.elapsed_s))


def fleet_listing(command: str) -> Listing[InstanceResult]:
    """The list of a fleet's instances.

    Args:
        command: the words of the command.
    """
    summary = _SUMMARIES.get(command, _no_summary)
    return Listing(
        (
            Column("instance", lambda each: each.instance.name),
            Column("exit_code", lambda each: each.exit_code, right=True),
            Column("outcome", lambda each: each.outcome.value, lambda each: _in_words(each.outcome)),
            Column("elapsed_seconds", lambda each: round(each.elapsed_s, 3), heading="SECONDS", right=True),
            Column("summary", lambda each: summary(each.result) if each.result else ""),
            Column("error", lambda each: each.error, shown=False),
            Column("config", lambda each: str(each.instance.config), shown=False),
        ),
        lambda each: each.instance.name,
    )
