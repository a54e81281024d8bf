"""Exceptions from rules, in the configuration, and baselines: findings that are known and accepted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from fluxbase_cli.config.document import Value
from fluxbase_cli.config.files import SourceFile, read_text
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.security.configuration.reading import setting_place, text_of
from fluxbase_cli.security.finding import Finding, Place
from fluxbase_cli.security.registry import find_rule

SECTION = "security.check.exceptions"
#: An exception is looked at again at least once a year.
MOST_DAYS = 366
_NAMES = frozenset({"rule", "where", "reason", "until"})


@dataclass(frozen=True, slots=True)
class RuleException:
    """A finding that the operator accepts for some time.

    Attributes:
        rule: the rule's id.
        where: the name of the place, or a pattern with `*` and `?`.
        reason: why it is accepted; empty if the operator did not say.
        until: the last day on which it counts; None if the operator did not say.
        place: where it is written.
    """

    rule: str
    where: str
    reason: str
    until: date | None
    place: Place

    def matches(self, finding: Finding) -> bool:
        """Whether it is about this finding."""
        return self.rule == finding.rule and fnmatchcase(finding.place.name, self.where)

    def fault(self, today: date) -> str | None:
        """Why it does not count. None if it counts."""
        if not self.reason:
            return "it has no reason"
        if self.until is None:
            return "it has no date of expiry (until)"
        if self.until < today:
            return f"it has expired on {self.until}"
        if self.until > today + timedelta(days=MOST_DAYS):
            return "its date of expiry is more than a year away"
        return None


def read_exceptions(document: Value | None) -> tuple[RuleException, ...]:
    """The exceptions in `security.check.exceptions` of the configuration file.

    Raises:
        ConfigurationError: an entry can't be read, or names no rule.
    """
    written = None if document is None else document.find(SECTION)
    return () if written is None else tuple(_exception(each) for each in written.items())


def _exception(entry: Value) -> RuleException:
    members = entry.members()
    unknown = sorted(members.keys() - _NAMES)
    if unknown:
        raise ConfigurationError(
            f"{entry.place} must have rule, where, reason and until, and no other names",
            hint="Remove or correct the other names.",
        )
    texts = {name: text_of(value).strip() for name, value in members.items()}
    rule = find_rule(texts.get("rule", ""))
    if rule is None:
        raise ConfigurationError(
            f"{entry.place} names no rule", hint="`fluxbase-cli security rules` lists them, as in FB-RLS-001."
        )
    try:
        until = date.fromisoformat(texts["until"]) if texts.get("until") else None
    except ValueError:
        raise ConfigurationError(f"{entry.place}.until is no date", hint="Write it as 2027-03-31.") from None
    found = setting_place(entry)
    where = texts.get("where") or "*"
    # Two exceptions of the same rule and place are the same.
    place = Place("exception", f"{rule.id} {where}", f"{entry.label}:{entry.line}: {rule.id}", found.file, found.line)
    return RuleException(rule.id, where, texts.get("reason", ""), until, place)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A finding that does not count.

    Attributes:
        finding: the finding.
        reason: why it does not count.
        until: until when; None for a baseline.
    """

    finding: Finding
    reason: str
    until: date | None


def read_baseline(path: Path, directory: Path) -> frozenset[str]:
    """The fingerprints of a baseline: a report of `security check -o json`.

    Raises:
        ConfigurationError: the file can't be read, or is no such report.
    """
    text = read_text(SourceFile(directory / path, str(path), option="--baseline"))
    try:
        data = json.loads(text)
        return frozenset(str(each["fingerprint"]) for each in data["findings"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ConfigurationError(
            f"--baseline {path} is no report of the security check",
            hint="Make it with: fluxbase-cli security check -o json > FILE",
        ) from None


def accept(
    findings: Iterable[Finding], exceptions: Iterable[RuleException], baseline: frozenset[str], today: date
) -> tuple[tuple[Finding, ...], tuple[Accepted, ...], frozenset[RuleException]]:
    """Take out the findings that do not count.

    Returns:
        The findings that count, those that do not, and the exceptions that matched a finding.
    """
    known = tuple(exceptions)
    left: list[Finding] = []
    accepted: list[Accepted] = []
    used: set[RuleException] = set()
    for finding in findings:
        matching = [each for each in known if each.matches(finding)]
        used |= set(matching)
        good = next((each for each in matching if each.fault(today) is None), None)
        if good is not None:
            accepted.append(Accepted(finding, good.reason, good.until))
        elif finding.fingerprint in baseline:
            accepted.append(Accepted(finding, "it is in the baseline", None))
        else:
            left.append(finding)
    return tuple(left), tuple(accepted), frozenset(used)


def faulty(exceptions: Iterable[RuleException], today: date) -> Iterator[tuple[RuleException, str]]:
    """The exceptions that do not count, each with the reason."""
    for each in exceptions:
        fault = each.fault(today)
        if fault is not None:
            yield each, fault
