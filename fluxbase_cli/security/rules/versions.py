"""Rules on the versions of PostgreSQL and of the server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from fluxbase_cli.security.database.fluxbase import fluxbase_database
from fluxbase_cli.security.database.release import read_release
from fluxbase_cli.security.database.version import read_version
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, Place, Severity, Unchecked
from fluxbase_cli.security.rule import Point, rule

#: The last day of support, and the newest minor release on `_AS_OF`.
#: From https://www.postgresql.org/support/versioning/.
_SUPPORT: Mapping[int, tuple[date, int]] = {
    13: (date(2025, 11, 13), 23),
    14: (date(2026, 11, 12), 23),
    15: (date(2027, 11, 11), 18),
    16: (date(2028, 11, 9), 14),
    17: (date(2029, 11, 8), 10),
    18: (date(2030, 11, 14), 4),
}
_AS_OF = date(2026, 5, 14)
_GOOD_FOR = timedelta(days=365)
_MAJOR = 10_000
#: What servers before these releases do not have.
_GAPS = (
    ((2026, 1, 13), Severity.MEDIUM, "secrets of TOTP are stored without a seal"),
    ((2026, 2, 3), Severity.MEDIUM, "JWT secrets of little randomness are accepted"),
)
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(-rc)?")


@rule(
    "FB-DEP-001",
    "PostgreSQL is out of support, or behind",
    severity=Severity.HIGH,
    point=Point.DEPENDENCIES,
    quote="Keep dependencies updated",
    explanation="""
    A version out of support gets no fixes: high. A minor release that is behind has known faults: low. The minor
    releases are those that this program knew when it was released. If that is more than a year ago, they are not
    checked.
    """,
    remedy="Update PostgreSQL. A minor release needs no dump: install it and restart.",
    link="https://www.postgresql.org/support/versioning/",
)
def postgresql_is_behind(facts: Facts) -> Iterator[Found | Unchecked]:
    """The version of PostgreSQL is old."""
    major, minor = divmod(facts.database.read(read_version), _MAJOR)
    place = Place("server", "PostgreSQL", f"PostgreSQL {major}.{minor}")
    if major < min(_SUPPORT):
        yield Found(place, "it is out of support")
        return
    if major not in _SUPPORT:
        yield Unchecked(f"PostgreSQL {major} is newer than this program")
        return
    end, newest = _SUPPORT[major]
    if facts.today > end:
        yield Found(place, f"it is out of support since {end:%Y-%m-%d}")
    elif minor < newest:
        yield Found(place, f"{major}.{newest} is out since {_AS_OF:%Y-%m-%d} or longer", Severity.LOW)
    elif facts.today > _AS_OF + _GOOD_FOR:
        yield Unchecked("this program is too old to know the newest minor release of PostgreSQL")


@rule(
    "FB-DEP-003",
    "Release of the server with known gaps",
    severity=Severity.MEDIUM,
    point=Point.DEPENDENCIES,
    quote="Keep dependencies updated",
    explanation="""
    The tables show the release that made them. Gaps that a later release closed are named. Tables that stand open in a
    release are FB-RLS-002.
    """,
    remedy="Update the server to 2026.3.6 or later. Make a backup before.",
)
def release_has_gaps(facts: Facts) -> Iterator[Found | Unchecked]:
    """The release of the server is old."""
    release = fluxbase_database(facts).read(read_release).name
    # The name is a release or a range, `2026.1.4 to 2026.1.5`; the newest of them counts.
    versions = _VERSION.findall(release.partition("or later")[0])
    if not versions:
        yield Found(Place("server", "Fluxbase"), f"its release is not known to this program ({release})", Severity.INFO)
        return
    *numbers, candidate = versions[-1]
    newest = tuple(int(each) for each in numbers)
    gaps = [(severity, text) for since, severity, text in _GAPS if newest < since or (newest == since and candidate)]
    if gaps:
        severity = max(severity for severity, _ in gaps)
        texts = "; ".join(text for _, text in gaps)
        yield Found(Place("server", "Fluxbase", f"Fluxbase {release}"), texts, severity)
