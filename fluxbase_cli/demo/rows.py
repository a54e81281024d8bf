"""Makes the rows of Fluxbase's tables one by one: values under two keys, and plaintext values of old releases."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from itertools import count as count_up
from itertools import cycle
from uuid import UUID

from fluxbase_cli.demo.shares import SeedReport
from fluxbase_cli.seal import Sealer, derive_user_key

_TENANTS = 3
_OAUTH_PROVIDERS = ("google", "github", "gitlab", "microsoft")
#: A settings document: seals in objects and arrays, among plain strings and numbers that must not change at all.
#: Each `%s` is a sealed value, or null if the document has enough sealed values.
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
#: How many sealed values the first document has, the second and the third. Then the sizes repeat.
_SETTINGS_SIZES = (5, _SETTINGS_SLOTS, 9)

Row = tuple[str | None, ...]


class _SealedValues:
    """Seals values under the old or the new key, at random, but with exactly the numbers of the report."""

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
            user_id: the owner. If it is given, the key derived for this user seals the value.
        """
        left = self._left[location]
        which = int(self._random.random() * (left[0] + left[1]) >= left[0])
        left[which] -= 1
        sealer = self._sealers[which] if user_id is None else Sealer(derive_user_key(self._keys[which], user_id))
        return sealer.seal(plaintext.encode()).decode("ascii")


class Rows:
    """Makes the rows of all tables, one by one.

    Args:
        report: how many values each location gets.
        old_key: the 32-byte master key of most values.
        new_key: the 32-byte master key of the others.
        rng_seed: decides the ids, and which values are under the old key and which under the new one.
    """

    def __init__(self, report: SeedReport, *, old_key: bytes, new_key: bytes, rng_seed: int) -> None:
        self._totals = Counter({each.location: each.old + each.new for each in report.locations})
        self._plaintexts = Counter({each.location: each.plaintext for each in report.locations})
        self._seal = _SealedValues(report, old_key=old_key, new_key=new_key, rng_seed=rng_seed).seal
        self._id_key = rng_seed.to_bytes(16, "big", signed=True)
        self._users = 1 + max(
            self._totals["auth.users.totp_secret"] * 5 // 4,
            self._totals["auth.oauth_tokens.access_token"] // 2,
            self._totals["app.settings.encrypted_value"] // 3,
        )

    def tables(self) -> Iterator[tuple[str, tuple[str, ...], Iterator[Row]]]:
        """All tables of all releases with their columns and rows. A table comes after the tables that it refers to."""
        times = ("created_at", "updated_at")
        yield "platform.tenants", ("id", "slug", "name", *times), self._tenants()
        yield "auth.users", ("id", "email", "totp_secret", "totp_enabled", "tenant_id", *times), self._user_rows()
        yield (
            "auth.oauth_tokens",
            ("id", "user_id", "provider", "access_token", "refresh_token", "id_token", "tenant_id", *times),
            self._oauth_tokens(),
        )
        yield (
            "functions.secrets",
            ("id", "name", "scope", "namespace", "encrypted_value", "version", "expires_at", "tenant_id", *times),
            self._secrets(),
        )
        yield (
            "functions.secret_versions",
            ("id", "secret_id", "version", "encrypted_value", "tenant_id", "created_at"),
            self._secret_versions(),
        )
        yield (
            "app.settings",
            ("id", "key", "value", "is_secret", "encrypted_value", "user_id", "tenant_id", *times),
            self._settings(),
        )
        for schema in ("dashboard", "platform"):
            yield (
                f"{schema}.oauth_providers",
                (
                    *("id", "provider_name", "client_id", "client_secret", "redirect_url", "enabled", "is_encrypted"),
                    *("tenant_id", *times),
                ),
                self._oauth_providers(schema),
            )
        yield "platform.instance_settings", ("id", "settings", "tenant_id", *times), self._instance_settings()
        yield (
            "branching.github_config",
            ("id", "repository", "webhook_secret", "tenant_id", *times),
            self._github_configs(),
        )

    def _id(self, kind: str, number: int) -> UUID:
        """The id of a table's row. It looks random, but it is always the same, so other tables can refer to it."""
        digest = blake2b(number.to_bytes(8, "big"), digest_size=16, key=self._id_key, person=kind.encode())
        return UUID(bytes=digest.digest(), version=4)

    def _tenant(self, number: int) -> str | None:
        """The tenant of a row. Most rows have none."""
        return str(self._id("tenant", number % _TENANTS)) if number % 5 == 3 else None  # noqa: PLR2004

    def _tenants(self) -> Iterator[Row]:
        for number in range(_TENANTS):
            name = f"demo-tenant-{number}"
            yield (str(self._id("tenant", number)), name, name, *_times(number))

    def _user_rows(self) -> Iterator[Row]:
        location = "auth.users.totp_secret"
        for number, sealed in enumerate(_spread(self._totals[location], self._users)):
            totp = self._seal(location, _totp(number)) if sealed else None
            user = str(self._id("user", number))
            email = f"demo.user.{number}@example.invalid"
            yield (user, email, totp, "true" if sealed else "false", self._tenant(number), *_times(number))
        for number in range(self._plaintexts[location]):
            user = str(self._id("legacy-user", number))
            yield (user, f"demo.early.user.{number}@example.invalid", _totp(number), "true", None, *_times(number))

    def _oauth_tokens(self) -> Iterator[Row]:
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
                self._tenant(user),
                *_times(number),
            )

    def _histories(self) -> Iterator[int]:
        """How many earlier versions each secret has. Every third secret has some."""
        secrets = self._totals["functions.secrets.encrypted_value"]
        versions = self._totals["functions.secret_versions.encrypted_value"]
        changed = -(-secrets // 3)
        for number in range(secrets):
            place = number // 3
            yield 0 if number % 3 else versions * (place + 1) // changed - versions * place // changed

    def _secrets(self) -> Iterator[Row]:
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

    def _secret_versions(self) -> Iterator[Row]:
        for number, versions in enumerate(self._histories()):
            for version in range(1, versions + 1):
                yield (
                    str(self._id(f"version{version}", number)),
                    str(self._id("secret", number)),
                    str(version),
                    self._seal(
                        "functions.secret_versions.encrypted_value", f"demo-secret-{number}-version-{version}-not-real"
                    ),
                    self._tenant(number),
                    _times(number)[0],
                )

    def _settings(self) -> Iterator[Row]:
        location = "app.settings.encrypted_value"
        for number in range(self._totals[location]):
            turn, place = divmod(number, 5)
            # Two of five rows belong to the instance, three to users. Some rows with a seal are not marked as secret.
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
        # A plain setting, so that not every row is sealed.
        yield (str(self._id("plain", 0)), "demo.page_size", '{"value": 25}', "false", None, None, None, *_times(0))

    def _oauth_providers(self, schema: str) -> Iterator[Row]:
        location = f"{schema}.oauth_providers.client_secret"
        total = self._totals[location]
        for number in range(total + self._plaintexts[location]):
            name = f"demo-provider-{number}"
            secret = f"{name}-client-secret-not-real"
            # Both `false` and NULL mean that the row is not sealed.
            flag = "false" if number % 2 else None
            if number < total:
                secret, flag = self._seal(location, secret), "true"
            enabled = "false" if number % 4 == 3 else "true"  # noqa: PLR2004
            redirect = "https://demo.example.invalid/callback"
            provider = (str(self._id(f"{schema}.oauth", number)), name, name, secret, redirect, enabled, flag)
            yield (*provider, self._tenant(number), *_times(number))

    def _instance_settings(self) -> Iterator[Row]:
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
            # The column is unique, but NULL may repeat.
            tenant = str(self._id("tenant", number - 1)) if 1 <= number <= _TENANTS else None
            yield (str(self._id("instance", number)), _SETTINGS_DOCUMENT % tuple(leaves), tenant, *_times(number))

    def _github_configs(self) -> Iterator[Row]:
        location = "branching.github_config.webhook_secret"
        total = self._totals[location]
        for number in range(total + 1):
            sealed = self._seal(location, f"demo-webhook-{number}-not-real") if number < total else None
            repository = f"demo-org/demo-repo-{number}"
            yield (str(self._id("github", number)), repository, sealed, self._tenant(number), *_times(number))
        for number in range(self._plaintexts[location]):
            # 40 hexadecimal digits, as from `openssl rand -hex 20`: valid base64, but not a seal.
            plaintext = blake2b(f"demo-webhook-{number}".encode(), digest_size=20).hexdigest()
            repository = f"demo-org/demo-early-repo-{number}"
            yield (str(self._id("early-github", number)), repository, plaintext, None, *_times(number))


def _times(number: int) -> tuple[str, str]:
    """When a row was made and changed: long ago, so a change of `updated_at` can be seen."""
    return f"2025-01-{1 + number % 28:02} 08:30:00+00", f"2025-{2 + number % 11:02}-01 12:00:00+00"


def _spread(chosen: int, among: int) -> Iterator[bool]:
    """Choose `chosen` of `among` numbers. They are spread evenly, and the first number is chosen."""
    for number in range(among):
        yield -(-chosen * (number + 1) // among) > -(-chosen * number // among)


def _totp(number: int) -> str:
    """A TOTP secret: 32 base32 digits."""
    return f"DEMODEMODEMODEMODEMODEMO{_base32(number)}"


def _base32(number: int) -> str:
    """Eight base32 digits."""
    return "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[number >> shift & 31] for shift in range(35, -1, -5))
