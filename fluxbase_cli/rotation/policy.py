"""Checks the section `key_rotation`, and turns its texts into a schedule, a time zone, durations and a webhook."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from fluxbase_cli.config import KeyRotationSettings
from fluxbase_cli.config.url import is_web_address
from fluxbase_cli.duration import parse_duration
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.notifications.recipient import SECRET_PREFIX, Format, Webhook
from fluxbase_cli.rotation.schedule import Schedule, parse_schedule


@dataclass(frozen=True, slots=True)
class Policy:
    """The checked settings of the scheduled rotation.

    Attributes:
        enabled: whether the schedule is used. A forced rotation always runs.
        schedule: when a rotation is due; None if it is not set.
        min_age: the schedule never rotates a key that is younger.
        auto_reencrypt: whether a rotation re-encrypts the values.
        retain_old_keys: how many old versions are kept; None keeps all.
        webhook: the receiver of notifications; None if there is none.
        reload_command: the command that makes the servers read their configuration again; may be empty.
    """

    enabled: bool = False
    schedule: Schedule | None = None
    min_age: timedelta = timedelta(0)
    auto_reencrypt: bool = False
    retain_old_keys: int | None = None
    webhook: Webhook | None = None
    reload_command: tuple[str, ...] = ()


def read_policy(settings: KeyRotationSettings) -> Policy:
    """Check the section.

    Raises:
        ConfigurationError: the schedule, the time zone, the minimum age or the webhook can't be used, or the rotation
            is enabled without a schedule. The message names the place, and never a value.
    """
    zone = _zone(settings)
    schedule = None
    if settings.schedule is not None:
        schedule = parse_schedule(settings.schedule, zone, settings.place("schedule"))
    elif settings.enabled:
        raise ConfigurationError(
            f"the rotation is enabled, and {settings.place('schedule')} is not set",
            hint='Write when: schedule: "0 2 1 * *" is 2 o\'clock on the first of each month.',
        )
    min_age = timedelta(0)
    if settings.min_age is not None:
        min_age = parse_duration(settings.min_age, settings.place("min_age"))
    return Policy(
        enabled=settings.enabled,
        schedule=schedule,
        min_age=min_age,
        auto_reencrypt=settings.auto_reencrypt,
        retain_old_keys=settings.retain_old_keys,
        webhook=read_webhook(settings),
        reload_command=settings.reload_command,
    )


def _zone(settings: KeyRotationSettings) -> ZoneInfo:
    try:
        return ZoneInfo(settings.timezone or "UTC")
    except (OSError, ValueError, LookupError):
        raise ConfigurationError(
            f"{settings.place('timezone')} is not the name of a time zone",
            hint="Use a name of the IANA database, such as Europe/Berlin, America/New_York or UTC.",
        ) from None


def read_webhook(settings: KeyRotationSettings) -> Webhook | None:
    """Check the settings of notifications. None if there is no webhook.

    Raises:
        ConfigurationError: the webhook can't be used. The message names the place, and never a value.
    """
    form = _form(settings)
    if settings.notification_webhook is None:
        return None
    place = settings.place("notification_webhook")
    if not is_web_address(settings.notification_webhook.reveal()):
        raise ConfigurationError(
            f"{place} is not a URL that begins with https:// or http://",
            hint="Write it as in https://hooks.example.com/path.",
        )
    webhook = Webhook(settings.notification_webhook, settings.notification_secret, form)
    try:
        key = webhook.signing_key
    except (binascii.Error, ValueError):
        key = b""
    if key == b"":
        raise ConfigurationError(
            f"{settings.place('notification_secret')} begins with {SECRET_PREFIX}, and what follows is not base64",
            hint="Any other text is taken as it is: `openssl rand -hex 32` makes a good one.",
        )
    return webhook


def _form(settings: KeyRotationSettings) -> Format:
    try:
        return Format((settings.notification_format or "json").strip().lower())
    except ValueError:
        raise ConfigurationError(
            f"{settings.place('notification_format')} must be one of {', '.join(Format)}"
        ) from None
