"""The rule on service keys."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbase_cli.security.database.fluxbase import fluxbase_database
from fluxbase_cli.security.database.keys import read_service_keys
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, Place, Severity
from fluxbase_cli.security.rule import Point, rule


@rule(
    "FB-KEY-001",
    "Service key without an end, or for everything",
    severity=Severity.HIGH,
    point=Point.ENVIRONMENT,
    quote="API key and client key management",
    explanation="""
    A service key goes around row-level security. A key that does not expire and has the scope `*` is high, a key with
    one of both medium. Keys that are switched off, revoked or expired are left out, and keys for visitors.
    """,
    remedy="""
    UPDATE auth.service_keys
    SET expires_at = now() + interval '90 days', scopes = '{…}' WHERE id = '…';
    """,
)
def service_key_is_too_strong(facts: Facts) -> Iterator[Found]:
    """A service key has no end, or all scopes."""
    for key in fluxbase_database(facts).read(read_service_keys):
        if key.expires and not key.all_scopes:
            continue
        reasons = [*([] if key.expires else ["does not expire"]), *(["has the scope *"] if key.all_scopes else [])]
        changes = [
            *([] if key.expires else ["expires_at = now() + interval '90 days'"]),
            *(["scopes = '{…}'"] if key.all_scopes else []),
        ]
        yield Found(
            Place("service key", f"{key.table} {key.id}", f'service key "{key.name}" ({key.id})'),
            f"it {' and '.join(reasons)}",
            Severity.HIGH if len(reasons) > 1 else Severity.MEDIUM,
            f"UPDATE {key.table}\nSET {', '.join(changes)} WHERE id = '{key.id}';",  # to be read
        )
