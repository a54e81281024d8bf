"""Rules of the security check on the sessions that the server has open in the database."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from fluxbase_cli.security.database.session import DatabaseFacts
from fluxbase_cli.security.database.sessions import Session, read_sessions
from fluxbase_cli.security.run import Report
from tests.fixtures.security import check, configuration_of

#: A server on another machine that asks for an encrypted connection.
REMOTE = {"FLUXBASE_DATABASE_HOST": "db.example.com", "FLUXBASE_DATABASE_SSL_MODE": "verify-full"}


class Sessions:
    """A database that has these sessions."""

    def __init__(self, *sessions: Session) -> None:
        self._sessions = sessions

    def read(self, reader: object) -> tuple[Session, ...]:
        """The sessions."""
        assert reader is read_sessions
        return self._sessions


def checked(folder: Path, rule: str, *sessions: Session) -> Report:
    """Check one rule."""
    configuration = configuration_of(folder, None, {**REMOTE, "FLUXBASE_DATABASE_USER": "app"})
    return check(
        rule, configuration=configuration, database=cast("DatabaseFacts", Sessions(OF_ANOTHER_ROLE, *sessions))
    )


def from_(address: str | None, *, encrypted: bool = True) -> Session:
    """A session that our role may see."""
    return Session("app", address, encrypted, hidden=False)


HIDDEN = Session("app", None, None, hidden=True)
#: Of a person, who is no instance of the server.
OF_ANOTHER_ROLE = Session("alice", "8.8.8.8", encrypted=False, hidden=False)


@pytest.mark.parametrize(
    ("sessions", "severities"),
    [
        ((), []),
        ((from_("10.0.0.5"), from_("10.0.0.5")), []),
        ((from_("10.0.0.5"), from_(None)), []),
        ((from_("10.0.0.5"), from_("10.0.0.6")), ["medium"]),
    ],
    ids=["none", "one instance", "a socket", "two instances"],
)
def test_sessions_from_several_addresses_are_several_instances(
    tmp_path: Path, sessions: tuple[Session, ...], severities: list[str]
) -> None:
    report = checked(tmp_path, "FB-RATE-002", *sessions)

    assert [each.severity.word for each in report.findings] == severities
    assert report.not_checked == ()


@pytest.mark.parametrize(
    ("sessions", "severities"),
    [
        ((), []),
        ((from_("9.9.9.9"), from_("10.0.0.5")), []),
        ((from_(None, encrypted=False), from_("127.0.0.1", encrypted=False)), []),
        ((from_("9.9.9.9"), from_("10.0.0.5", encrypted=False)), ["low"]),
        ((from_("9.9.9.9", encrypted=False), from_("10.0.0.5", encrypted=False)), ["high"]),
    ],
    ids=["none", "encrypted", "the same machine", "a private network", "anywhere"],
)
def test_a_session_that_is_not_encrypted_is_found_though_the_configuration_is_in_order(
    tmp_path: Path, sessions: tuple[Session, ...], severities: list[str]
) -> None:
    report = checked(tmp_path, "FB-TLS-002", *sessions)

    assert [each.severity.word for each in report.findings] == severities
    assert report.not_checked == ()


@pytest.mark.parametrize("rule", ["FB-RATE-002", "FB-TLS-002"])
def test_sessions_that_are_hidden_are_not_checked(tmp_path: Path, rule: str) -> None:
    report = checked(tmp_path, rule, from_("10.0.0.5"), HIDDEN)

    assert report.findings == ()
    assert ["pg_monitor" in each.reason for each in report.not_checked] == [True]
