"""Decides how many sealed values each location gets, and how many of them are under which key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

#: How many of 1,000 sealed values each location has. The three tokens must be in this order: a row always has an access
#: token, and sometimes the others.
_SHARES: Mapping[str, int] = {
    "functions.secrets.encrypted_value": 430,
    "functions.secret_versions.encrypted_value": 250,
    "app.settings.encrypted_value": 120,
    "dashboard.oauth_providers.client_secret": 20,
    "platform.oauth_providers.client_secret": 20,
    "platform.instance_settings.settings": 20,
    "auth.oauth_tokens.access_token": 70,
    "auth.oauth_tokens.refresh_token": 40,
    "auth.oauth_tokens.id_token": 20,
    "auth.users.totp_secret": 25,
    "branching.github_config.webhook_secret": 5,
}
#: Plaintext values that a database of a stable release may still have: rows without the flag, base32, 40 hexadecimal
#: digits.
_PLAINTEXT: Mapping[str, int] = {
    "dashboard.oauth_providers.client_secret": 2,
    "auth.users.totp_secret": 3,
    "branching.github_config.webhook_secret": 12,
}
_STABLE_ONLY = "dashboard.oauth_providers.client_secret"
#: With at least this many values, every location of any release has one.
MIN_COUNT = 10


@dataclass(frozen=True, slots=True)
class SeededLocation:
    """The values of one column.

    Attributes:
        location: the column as `schema.table.column`.
        old: values under the old key.
        new: values under the new key.
        plaintext: values that were never sealed.
    """

    location: str
    old: int
    new: int
    plaintext: int = 0


@dataclass(frozen=True, slots=True)
class SeedReport:
    """The values of all columns.

    Attributes:
        locations: every location that the database has, in the catalogue's order.
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

    @property
    def plaintext(self) -> int:
        """Values that were never sealed."""
        return sum(each.plaintext for each in self.locations)

    @property
    def tables(self) -> int:
        """How many tables hold values."""
        return len({each.location.rpartition(".")[0] for each in self.locations})


def share_out(present: Collection[str], *, count: int, new_share: float) -> SeedReport:
    """Decide how many values of each kind each location gets.

    Args:
        present: columns of the database as `schema.table.column`, with all its locations among them.
        count: sealed values in all locations together.
        new_share: the part of them that is sealed under the new key.

    Raises:
        ValueError: `count` is less than one for each location.
    """
    shares = {name: share for name, share in _SHARES.items() if name in present}
    if count < len(shares):
        message = f"at least {len(shares)} values, one for each location"
        raise ValueError(message)
    totals = _apportion(shares, count)
    new = _apportion_new(totals, round(count * new_share))
    plaintext = _PLAINTEXT if _STABLE_ONLY in present else {}
    return SeedReport(
        tuple(
            SeededLocation(name, total - new[name], new[name], plaintext.get(name, 0)) for name, total in totals.items()
        )
    )


def _apportion(shares: Mapping[str, int], count: int) -> dict[str, int]:
    """Divide the values among the locations by their shares, at least one for each, by the largest remainder method."""
    whole = sum(shares.values())
    divided = {name: divmod((count - len(shares)) * share, whole) for name, share in shares.items()}
    totals = {name: 1 + floor for name, (floor, _) in divided.items()}
    by_remainder = sorted(divided, key=lambda name: divided[name][1], reverse=True)
    for name in by_remainder[: count - sum(totals.values())]:
        totals[name] += 1
    return totals


def _apportion_new(totals: Mapping[str, int], new: int) -> dict[str, int]:
    """Decide how many values of each location are under the new key.

    The numbers are in proportion, each location has values under both keys if possible, and the sum is exactly `new`.
    """
    share = new / sum(totals.values())
    chosen = {name: min(max(round(share * total), 1), total - 1) for name, total in totals.items()}
    while (missing := new - sum(chosen.values())) != 0:
        step = 1 if missing > 0 else -1
        # Change the location whose share is most wrong. Prefer a change that leaves it values under both keys.
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
