"""What the section `key_rotation` means."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from fluxbase_cli.config import load_settings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.notifications.recipient import Format
from fluxbase_cli.rotation.policy import Policy, read_policy

MARK = "secret-marker"


def policy(directory: Path, section: str, **environ: str) -> Policy:
    """Read a section in YAML's flow style."""
    text = f"security:\n  encryption:\n    key_rotation: {section}\n"
    (directory / "fluxbase.yaml").write_text(text, encoding="utf-8")
    settings = load_settings(directory=directory, environ=environ, system_directory=directory / "etc")
    return read_policy(settings.encryption.key_rotation)


def test_the_documented_section_is_read(tmp_path: Path) -> None:
    read = policy(
        tmp_path,
        """
      enabled: true
      schedule: "0 2 1 * *"
      timezone: Europe/Berlin
      auto_reencrypt: true
      retain_old_keys: 2
      min_age: 7d
      notification_webhook: "https://hooks.example.com/security"
      notification_secret: "${HOOK_SECRET}"
      notification_format: slack
      reload_command: ["kubectl", "rollout", "restart", "deployment/${NAME}"]
""",
        HOOK_SECRET=MARK,
        NAME="fluxbase",
    )

    assert read.enabled
    assert read.auto_reencrypt
    assert read.schedule is not None
    assert (read.schedule.expression, read.schedule.zone.key) == ("0 2 1 * *", "Europe/Berlin")
    assert (read.min_age, read.retain_old_keys) == (timedelta(days=7), 2)
    assert read.reload_command == ("kubectl", "rollout", "restart", "deployment/fluxbase")
    assert read.webhook is not None
    assert (read.webhook.host, read.webhook.signing_key, read.webhook.form) == (
        "hooks.example.com",
        MARK.encode(),
        Format.SLACK,
    )
    assert MARK not in repr(read)
    assert "hooks.example.com/security" not in repr(read)


def test_without_the_section_nothing_is_enabled(tmp_path: Path) -> None:
    assert policy(tmp_path, "{}") == Policy()


def test_a_secret_in_the_form_of_standard_webhooks_is_decoded(tmp_path: Path) -> None:
    read = policy(tmp_path, "{notification_webhook: 'http://h/', notification_secret: whsec_c2VjcmV0LW1hcmtlcg}")

    assert read.webhook is not None
    assert read.webhook.signing_key == MARK.encode()


def test_the_command_may_come_from_a_variable(tmp_path: Path) -> None:
    variable = "FLUXBASE_SECURITY_ENCRYPTION_KEY_ROTATION_RELOAD_COMMAND"
    assert policy(
        tmp_path, "{reload_command: [no]}", **{variable: "systemctl reload 'my fluxbase'"}
    ).reload_command == (
        "systemctl",
        "reload",
        "my fluxbase",
    )
    with pytest.raises(ConfigurationError, match="a quote is not closed"):
        policy(tmp_path, "{}", **{variable: "it's"})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{schedule: secret-marker}", "schedule is not a cron expression: it must have five fields"),
        ("{enabled: true}", "the rotation is enabled, and security.encryption.key_rotation.schedule is not set"),
        ("{timezone: Secret/Marker}", "timezone is not the name of a time zone"),
        ("{timezone: ../../etc/secret-marker}", "timezone is not the name of a time zone"),
        ("{min_age: secret-marker}", "min_age is not a length of time"),
        ("{notification_webhook: 'ftp://secret-marker/'}", "notification_webhook is not a URL that begins with"),
        ("{notification_webhook: 'file:///secret-marker'}", "notification_webhook is not a URL that begins with"),
        ("{notification_webhook: secret-marker}", "notification_webhook is not a URL that begins with"),
        ("{notification_webhook: 'https:///secret-marker'}", "notification_webhook is not a URL that begins with"),
        ("{notification_webhook: 'https://[secret-marker/'}", "notification_webhook is not a URL that begins with"),
        ("{notification_format: secret-marker}", "notification_format must be one of json, slack"),
        (
            "{notification_webhook: 'https://h/', notification_secret: whsec_secret-marker}",
            "notification_secret begins with whsec_, and what follows is not base64",
        ),
        ("{reload_command: secret-marker}", "reload_command must be a list of words"),
        ("{reload_command: ['', secret-marker]}", "reload_command begins with an empty word"),
    ],
)
def test_an_unusable_setting_gives_one_line_with_its_place_and_without_its_value(
    tmp_path: Path, section: str, message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        policy(tmp_path, section)

    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert MARK not in (caught.value.message + (caught.value.hint or "")).lower()
    assert caught.value.exit_code == 2
