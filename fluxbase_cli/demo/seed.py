"""Fluxbase's tables in an empty database, and rows for them with an exact number of sealed values.

Every value can be opened, with the old key or the new one, and none is plaintext, so that an audit of what was seeded
comes out clean. All names and values are made up, and say so.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from importlib import resources
from itertools import count as count_up
from itertools import cycle, islice
from typing import Any
from uuid import UUID

from psycopg import Connection, sql

from fluxbase_cli.seal import Sealer, derive_user_key

#: How many of 1,000 sealed values stand in each location. The order of the three tokens matters: a row has an access
#: token always and the others sometimes.
_SHARES: Mapping[str, int] = {
    "functions.secrets.encrypted_value": 430,
    "functions.secret_versions.encrypted_value": 250,
    "app.settings.encrypted_value": 120,
    "platform.oauth_providers.client_secret": 20,
    "platform.instance_settings.settings": 20,
    "auth.oauth_tokens.access_token": 70,
    "auth.oauth_tokens.refresh_token": 40,
    "auth.oauth_tokens.id_token": 20,
    "auth.users.totp_secret": 25,
    "branching.github_config.webhook_secret": 5,
}
#: Below this, not every location can have a value.
MIN_COUNT = len(_SHARES)

_TENANTS = 3
_OAUTH_PROVIDERS = ("google", "github", "gitlab", "microsoft")
_COPY_CHUNK_ROWS = 1_000

#: A settings document: seals in objects and arrays, between plain strings and numbers that must survive to the letter.
#: Each `%s` is a sealed value, or null once the document has its share.
_SETTINGS_DOCUMENT = (
    '{"app": {"name": "Demo shop", "signup_enabled": true, "version": "1.10"},'
    ' "email": {"provider": "smtp", "smtp_host": "smtp.example.invalid", "smtp_port": 587, "smtp_password": %s,'
    ' "sendgrid_api_key": %s, "mailgun_api_key": %s, "ses_access_key": %s, "ses_secret_key": %s,'
    ' "retry_factor": 1.10},'
    ' "auth": {"captcha": {"provider": "hcaptcha", "threshold": 0.50, "secret_key": %s},'
    ' "oauth": [{"name": "demo-one", "client_secret": %s}, {"name": "demo-two", "client_secret": %s}]},'
    ' "storage": {"s3": {"bucket": "demo-bucket", "limits": [1.10, 250, 1E+3], "secret_key": %s}},'
    ' "backup": {"targets": [["demo-tape", {"token": %s}], ["demo-disk", {"token": %s}]]},'
    ' "webhook_keys": [%s, "not a sealed value", 587, %s]}'
)
_SETTINGS_SLOTS = _SETTINGS_DOCUMENT.count("%s")
#: Sealed values in the first document, the second, ..., and so on from the start.
_SETTINGS_SIZES = (5, _SETTINGS_SLOTS, 9)

_Row = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class SeededLocation:
    """What was sealed into one column.

    Attributes:
        location: the column as `schema.table.column`.
        old: values under the old key.
        new: values under the new key.
    """

    location: str
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class SeedReport:
    """What was seeded.

    Attributes:
        locations: every location, in the order of FLUXBASE.md.
    """

    locations: tuple[SeededLocation, ...]

    @property
    def old(self) -> int:
        """Values under the old key, in all locations."""
        return sum(each.old for each in self.locations)

    @property
    def new(self) -> int:
        """Values under the new key, in all locations."""
        return sum(each.new for each in self.locations)

    @property
    def total(self) -> int:
        """All sealed values."""
        return self.old + self.new


def create_tables(conn: Connection[Any]) -> None:
    """Create Fluxbase's roles, schemas and tables (`schema.sql`), in one transaction.

    Args:
        conn: a connection to a database that has none of them, as a superuser.
    """
    statements = resources.files(__package__).joinpath("schema.sql").read_bytes()
    with conn.transaction():
        conn.execute(statements)


def seed(  # noqa: PLR0913
    conn: Connection[Any], *, count: int, old_key: bytes, new_key: bytes, new_share: float = 0.15, rng_seed: int
) -> SeedReport:
    """Fill the tables with rows that hold exactly `count` sealed values, in one transaction and in flat memory.

    Args:
        conn: a connection to a database with empty tables (`create_tables`), as a superuser.
        count: sealed values in all locations together, at least `MIN_COUNT`.
        old_key: the 32-byte master key of most values.
        new_key: the 32-byte master key of the others.
        new_share: the part of the values that is sealed under the new key, from 0 to 1. Their number is exact, and
            every location with two values or more gets both kinds if there are enough of both.
        rng_seed: decides the ids, and which values are old and which new; the seals themselves are never the same.

    Raises:
        ValueError: `count` is too small.
    """
    if count < MIN_COUNT:
        message = f"at least {MIN_COUNT} values, one for each location"
        raise ValueError(message)
    totals = _apportion(count)
    new = _apportion_new(totals, round(count * new_share))
    report = SeedReport(tuple(SeededLocation(name, total - new[name], new[name]) for name, total in totals.items()))
    rows = _Rows(totals, _Dealer(report, old_key=old_key, new_key=new_key, rng_seed=rng_seed), rng_seed)
    with conn.transaction():
        for table, columns, lines in rows.tables():
            _copy(conn, table, columns, lines)
        for table, _, _ in rows.tables():
            conn.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(*table.split("."))))
    return report


def _apportion(count: int) -> dict[str, int]:
    """Divide the values among the locations by `_SHARES`, at least one each, by largest remainder."""
    whole = sum(_SHARES.values())
    shared = {name: divmod((count - MIN_COUNT) * share, whole) for name, share in _SHARES.items()}
    totals = {name: 1 + floor for name, (floor, _) in shared.items()}
    by_remainder = sorted(shared, key=lambda name: shared[name][1], reverse=True)
    for name in by_remainder[: count - sum(totals.values())]:
        totals[name] += 1
    return totals


def _apportion_new(totals: Mapping[str, int], new: int) -> dict[str, int]:
    """Say how many values of each location are new: in proportion, with both kinds wherever possible, exact in all."""
    share = new / sum(totals.values())
    chosen = {name: min(max(round(share * total), 1), total - 1) for name, total in totals.items()}
    while (missing := new - sum(chosen.values())) != 0:
        step = 1 if missing > 0 else -1
        # One step where the share is missed most, but one that takes a kind away from a location only if it must.
        possible = {name: chosen[name] + step for name, total in totals.items() if 0 <= chosen[name] + step <= total}
        best = min(
            possible,
            key=lambda name: (
                not 0 < possible[name] < totals[name],
                possible[name] * step - share * totals[name] * step,
            ),
        )
        chosen[best] += step
    return chosen


class _Dealer:
    """Seals values, dealing out the old and the new key by chance but in the exact numbers of the report."""

    def __init__(self, report: SeedReport, *, old_key: bytes, new_key: bytes, rng_seed: int) -> None:
        self._keys = (old_key, new_key)
        self._sealers = (Sealer(old_key), Sealer(new_key))
        self._left = {each.location: [each.old, each.new] for each in report.locations}
        self._random = random.Random(rng_seed)  # noqa: S311

    def seal(self, location: str, plaintext: str, *, user_id: UUID | None = None) -> str:
        """Seal the location's next value.

        Args:
            location: where the value goes.
            plaintext: the value.
            user_id: the owner, whose derived key seals the value then.
        """
        left = self._left[location]
        which = int(self._random.random() * (left[0] + left[1]) >= left[0])
        left[which] -= 1
        sealer = self._sealers[which] if user_id is None else Sealer(derive_user_key(self._keys[which], user_id))
        return sealer.seal(plaintext.encode()).decode("ascii")


class _Rows:
    """The rows of all tables, made one by one.

    Args:
        totals: the sealed values of each location.
        dealer: seals them.
        rng_seed: decides the ids.
    """

    def __init__(self, totals: Mapping[str, int], dealer: _Dealer, rng_seed: int) -> None:
        self._totals = totals
        self._seal = dealer.seal
        self._id_key = rng_seed.to_bytes(16, "big", signed=True)
        settings = totals["app.settings.encrypted_value"]
        self._users = 1 + max(
            totals["auth.users.totp_secret"] * 5 // 4, totals["auth.oauth_tokens.access_token"] // 2, settings // 3
        )

    def tables(self) -> Iterator[tuple[str, tuple[str, ...], Iterator[_Row]]]:
        """Every table with its columns and its rows, a table after those that it refers to."""
        times = ("created_at", "updated_at")
        yield "platform.tenants", ("id", "slug", "name", *times), self._tenants()
        yield "auth.users", ("id", "email", "totp_secret", "totp_enabled", "tenant_id", *times), self._user_rows()
        yield (
            "auth.oauth_tokens",
            ("id", "user_id", "provider", "access_token", "refresh_token", "id_token", *times),
            self._oauth_tokens(),
        )
        yield (
            "functions.secrets",
            ("id", "name", "scope", "namespace", "encrypted_value", "version", "expires_at", "tenant_id", *times),
            self._secrets(),
        )
        yield (
            "functions.secret_versions",
            ("id", "secret_id", "version", "encrypted_value", "created_at"),
            self._secret_versions(),
        )
        yield (
            "app.settings",
            ("id", "key", "value", "is_secret", "encrypted_value", "user_id", "tenant_id", *times),
            self._settings(),
        )
        yield (
            "platform.oauth_providers",
            (
                *("id", "provider_name", "client_id", "client_secret", "redirect_url", "enabled", "is_encrypted"),
                *("tenant_id", *times),
            ),
            self._oauth_providers(),
        )
        yield "platform.instance_settings", ("id", "settings", "tenant_id", *times), self._instance_settings()
        yield "branching.github_config", ("id", "repository", "webhook_secret", *times), self._github_configs()

    def _id(self, kind: str, number: int) -> UUID:
        """The id of a table's row: random to look at, and known again where another table refers to it."""
        digest = blake2b(number.to_bytes(8, "big"), digest_size=16, key=self._id_key, person=kind.encode())
        return UUID(bytes=digest.digest(), version=4)

    def _tenant(self, number: int) -> str | None:
        """The tenant of a row: most have none."""
        return str(self._id("tenant", number % _TENANTS)) if number % 5 == 3 else None  # noqa: PLR2004

    def _tenants(self) -> Iterator[_Row]:
        for number in range(_TENANTS):
            name = f"demo-tenant-{number}"
            yield (str(self._id("tenant", number)), name, name, *_times(number))

    def _user_rows(self) -> Iterator[_Row]:
        location = "auth.users.totp_secret"
        for number, sealed in enumerate(_spread(self._totals[location], self._users)):
            totp = self._seal(location, f"DEMODEMODEMODEMODEMODEMO{_base32(number)}") if sealed else None
            user = str(self._id("user", number))
            email = f"demo.user.{number}@example.invalid"
            yield (user, email, totp, "true" if sealed else "false", self._tenant(number), *_times(number))

    def _oauth_tokens(self) -> Iterator[_Row]:
        access, refresh, identity = (f"auth.oauth_tokens.{kind}_token" for kind in ("access", "refresh", "id"))
        rows = self._totals[access]
        for number, has_refresh, has_identity in zip(
            range(rows), _spread(self._totals[refresh], rows), _spread(self._totals[identity], rows), strict=True
        ):
            turn, user = divmod(number, self._users)
            yield (
                str(self._id("token", number)),
                str(self._id("user", user)),
                _OAUTH_PROVIDERS[(user + turn) % len(_OAUTH_PROVIDERS)],
                self._seal(access, f"demo-access-token-{number}-" + "not-real." * 12),
                self._seal(refresh, f"demo-refresh-token-{number}") if has_refresh else None,
                self._seal(identity, f"demo-id-token-{number}." + "not-real." * 40) if has_identity else None,
                *_times(number),
            )

    def _histories(self) -> Iterator[int]:
        """For each secret, how many earlier versions it has: every third has some."""
        secrets = self._totals["functions.secrets.encrypted_value"]
        versions = self._totals["functions.secret_versions.encrypted_value"]
        changed = -(-secrets // 3)
        for number in range(secrets):
            place = number // 3
            yield 0 if number % 3 else versions * (place + 1) // changed - versions * place // changed

    def _secrets(self) -> Iterator[_Row]:
        for number, versions in enumerate(self._histories()):
            namespace = None if number % 4 else f"demo-namespace-{number % 7}"
            expires_at = {2: "2025-06-30 00:00:00+00", 9: "2099-12-31 00:00:00+00"}.get(number % 20)
            yield (
                str(self._id("secret", number)),
                f"DEMO_SECRET_{number}",
                "global" if namespace is None else "namespace",
                namespace,
                self._seal("functions.secrets.encrypted_value", f"demo-secret-{number}-not-real"),
                str(versions + 1),
                expires_at,
                self._tenant(number),
                *_times(number),
            )

    def _secret_versions(self) -> Iterator[_Row]:
        for number, versions in enumerate(self._histories()):
            for version in range(1, versions + 1):
                yield (
                    str(self._id(f"version{version}", number)),
                    str(self._id("secret", number)),
                    str(version),
                    self._seal(
                        "functions.secret_versions.encrypted_value", f"demo-secret-{number}-version-{version}-not-real"
                    ),
                    _times(number)[0],
                )

    def _settings(self) -> Iterator[_Row]:
        location = "app.settings.encrypted_value"
        for number in range(self._totals[location]):
            turn, place = divmod(number, 5)
            # Two of five belong to the instance, three to users; seals stand on rows that aren't marked as secret too.
            user = None
            key = f"demo.setting-{number}.token"
            if place not in (0, 3):
                round_, owner = divmod(turn * 3 + (1, 2, 4).index(place), self._users)
                user = self._id("user", owner)
                key = f"demo.user-setting-{round_}.token"
            yield (
                str(self._id("setting", number)),
                key,
                '{"value": "[ENCRYPTED]"}',
                "false" if number % 3 == 1 else "true",
                self._seal(location, f"demo-setting-{number}-not-real", user_id=user),
                None if user is None else str(user),
                self._tenant(number),
                *_times(number),
            )
        # An ordinary setting, so that not every row is a sealed one.
        yield (str(self._id("plain", 0)), "demo.page_size", '{"value": 25}', "false", None, None, None, *_times(0))

    def _oauth_providers(self) -> Iterator[_Row]:
        location = "platform.oauth_providers.client_secret"
        for number in range(self._totals[location]):
            name = f"demo-provider-{number}"
            sealed = self._seal(location, f"{name}-client-secret-not-real")
            enabled = "false" if number % 4 == 3 else "true"  # noqa: PLR2004
            redirect = "https://demo.example.invalid/callback"
            provider = (str(self._id("provider", number)), name, name, sealed, redirect, enabled, "true")
            yield (*provider, self._tenant(number), *_times(number))

    def _instance_settings(self) -> Iterator[_Row]:
        location = "platform.instance_settings.settings"
        left = self._totals[location]
        sizes = cycle(_SETTINGS_SIZES)
        for number in count_up():
            if not left:
                return
            size = min(left, next(sizes))
            left -= size
            leaves = [f'"{self._seal(location, f"demo-instance-{number}-{leaf}-not-real")}"' for leaf in range(size)]
            leaves.extend(["null"] * (_SETTINGS_SLOTS - size))
            # The column is unique, and NULL as often as wanted.
            tenant = str(self._id("tenant", number - 1)) if 1 <= number <= _TENANTS else None
            yield (str(self._id("instance", number)), _SETTINGS_DOCUMENT % tuple(leaves), tenant, *_times(number))

    def _github_configs(self) -> Iterator[_Row]:
        location = "branching.github_config.webhook_secret"
        total = self._totals[location]
        for number in range(total + 1):
            sealed = self._seal(location, f"demo-webhook-{number}-not-real") if number < total else None
            yield (str(self._id("github", number)), f"demo-org/demo-repo-{number}", sealed, *_times(number))


def _times(number: int) -> tuple[str, str]:
    """When a row was made and changed: long ago, so that a change of `updated_at` shows."""
    return f"2025-01-{1 + number % 28:02} 08:30:00+00", f"2025-{2 + number % 11:02}-01 12:00:00+00"


def _spread(chosen: int, among: int) -> Iterator[bool]:
    """Say for each of `among` whether it is one of the `chosen`, evenly spread and beginning with one."""
    for number in range(among):
        yield -(-chosen * (number + 1) // among) > -(-chosen * number // among)


def _base32(number: int) -> str:
    """Eight base32 digits."""
    return "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[number >> shift & 31] for shift in range(35, -1, -5))


def _copy(conn: Connection[Any], table: str, columns: Iterable[str], rows: Iterator[_Row]) -> None:
    """Stream rows into a table. None of the values that we make needs escaping in COPY's text format."""
    command = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with conn.cursor() as cursor, cursor.copy(command) as copy:
        while chunk := "".join(_line(row) for row in islice(rows, _COPY_CHUNK_ROWS)):
            copy.write(chunk)


def _line(row: _Row) -> str:
    return "\t".join("\\N" if value is None else value for value in row) + "\n"
