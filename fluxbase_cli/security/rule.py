"""A rule: what it says and how it is checked. docs/developers/add-a-rule.md shows how to add one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from textwrap import dedent
from typing import TYPE_CHECKING

from fluxbase_cli.security.finding import Found, Severity, Unchecked

if TYPE_CHECKING:
    from fluxbase_cli.security.facts import Facts

    Check = Callable[[Facts], Iterator[Found | Unchecked]]

#: The page of the server's documentation that ends with the checklist.
DOCUMENTATION = "https://fluxbase.eu/guides/security/"


class Point(StrEnum):
    """The ten points of the checklist in the server's documentation, in its order and its words."""

    ROW_LEVEL_SECURITY = "Enable RLS on all user data tables"
    JWT_SECRET = "Use strong JWT secrets (256+ bits)"  # noqa: S105  # no password
    RATE_LIMIT = "Enable rate limiting with Redis backend"
    HEADERS = "Configure security headers"
    ENVIRONMENT = "Use environment variables for secrets"
    HTTPS = "Enable HTTPS in production"
    KEY_ROTATION = "Implement key rotation procedures"
    AUDITS = "Regular security audits"
    LOGS = "Monitor authentication logs"
    DEPENDENCIES = "Keep dependencies updated"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the security check.

    Attributes:
        id: `FB-`, its family, `-`, three digits. It never changes, and a dropped rule's id is never used again.
        title: what is wrong if the rule is broken, a few words.
        severity: how bad that is; a finding may have another severity, if the place makes it better or worse.
        point: the point of the checklist that it belongs to.
        quote: the documentation's sentence that it comes from; None: it goes beyond the documentation.
        explanation: what is checked and why it matters; when it does not matter.
        remedy: what to do, as a command or a line to paste.
        check: yields what was found. It raises `NotCheckedError` if it can't check anything.
        link: a page with more about it.
    """

    id: str
    title: str
    severity: Severity
    point: Point
    quote: str | None
    explanation: str
    remedy: str
    check: Check = field(repr=False, compare=False)
    link: str = DOCUMENTATION


def rule(  # noqa: PLR0913  # the fields of a rule
    rule_id: str,
    title: str,
    *,
    severity: Severity,
    point: Point,
    quote: str | None,
    explanation: str,
    remedy: str,
    link: str = DOCUMENTATION,
) -> Callable[[Check], Rule]:
    """Make a rule of the function that checks it. For the arguments see `Rule`."""

    def make(check: Check) -> Rule:
        words = " ".join(explanation.split())
        return Rule(rule_id, title, severity, point, quote, words, dedent(remedy).strip(), check, link)

    return make
