"""The section `security.encryption.key_rotation`: the texts of its settings, and where each was found.

Here a value is refused only if it is not a text, number or flag at all. `fluxbase_cli.rotation.policy` checks the rest,
because a wrong schedule must not prevent an emergency rollback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from fluxbase_cli.config.command import read_words
from fluxbase_cli.config.names import SectionNames
from fluxbase_cli.config.secret import Secret

if TYPE_CHECKING:
    from fluxbase_cli.config.reader import Reader

SECTION = "security.encryption.key_rotation"
NAMES = SectionNames(
    SECTION,
    frozenset(
        {
            "auto_reencrypt",
            "enabled",
            "min_age",
            "notification_format",
            "notification_secret",
            "notification_webhook",
            "notify_manual_runs",
            "reload_command",
            "retain_old_keys",
            "schedule",
            "timezone",
        }
    ),
)
_EXAMPLE = '["kubectl", "rollout", "restart", "deployment/fluxbase"]'


@dataclass(frozen=True, slots=True)
class KeyRotationSettings:
    """The scheduled rotation, as it is written in the configuration.

    Attributes:
        enabled: whether it is on.
        schedule: when a rotation is due, as a cron expression.
        timezone: the IANA time zone of the schedule; None means UTC.
        auto_reencrypt: whether a rotation re-encrypts the values.
        retain_old_keys: how many old keys are kept; None if it is not set.
        min_age: how old a key must be before it is rotated, such as `7d`.
        notification_webhook: the URL for notifications. It is secret, because such URLs hold tokens.
        notification_secret: the secret that signs the notifications.
        notification_format: the form of the notifications, `json` or `slack`.
        notify_manual_runs: whether `secrets re-encrypt`, `rollback` and `audit` send notifications too.
        reload_command: a program and its arguments that make the servers read their configuration again.
        places: where each of these settings was found, by its name; never a value.
    """

    enabled: bool = False
    schedule: str | None = None
    timezone: str | None = None
    auto_reencrypt: bool = False
    retain_old_keys: int | None = None
    min_age: str | None = None
    notification_webhook: Secret | None = None
    notification_secret: Secret | None = None
    notification_format: str | None = None
    notify_manual_runs: bool = False
    reload_command: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False, repr=False)

    def place(self, name: str) -> str:
        """Where the setting with this name was found, or where it belongs."""
        return self.places.get(name, f"{SECTION}.{name}")


def read_key_rotation(reader: Reader) -> KeyRotationSettings:
    """Read the section.

    Raises:
        ConfigurationError: a setting has the wrong type, or refers to a variable that is not set.
    """
    texts = ("schedule", "timezone", "min_age", "notification_webhook", "notification_secret", "notification_format")
    found = {name: each for name in texts if (each := reader.text(f"{SECTION}.{name}")) is not None and each.text}

    def text(name: str) -> str | None:
        return found[name].text if name in found else None

    def secret(name: str) -> Secret | None:
        return Secret(found[name].text) if name in found else None

    command = read_words(reader, f"{SECTION}.reload_command", _EXAMPLE)
    places = {name: each.place for name, each in found.items()}
    if command:
        places["reload_command"] = command[0].place.removesuffix("[0]")
    return KeyRotationSettings(
        enabled=reader.flag(f"{SECTION}.enabled"),
        schedule=text("schedule"),
        timezone=text("timezone"),
        auto_reencrypt=reader.flag(f"{SECTION}.auto_reencrypt"),
        retain_old_keys=reader.integer(f"{SECTION}.retain_old_keys", minimum=0),
        min_age=text("min_age"),
        notification_webhook=secret("notification_webhook"),
        notification_secret=secret("notification_secret"),
        notification_format=text("notification_format"),
        notify_manual_runs=reader.flag(f"{SECTION}.notify_manual_runs"),
        reload_command=tuple(argument.text for argument in command),
        places=MappingProxyType(places),
    )
