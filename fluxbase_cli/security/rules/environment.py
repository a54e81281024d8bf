"""Rules on settings for development and tests that are left on."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbase_cli.security.configuration.known import MAIN
from fluxbase_cli.security.configuration.values import go_bool
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, Severity
from fluxbase_cli.security.rule import Point, rule


@rule(
    "FB-ENV-001",
    "Debug mode is on",
    severity=Severity.HIGH,
    point=Point.AUDITS,
    quote="Use different configurations for environments",
    explanation="""
    Debug mode sends stack traces to clients, logs all requests, and lets webhooks call addresses of the internal
    network. It is low if the address of the server is that of this machine.
    """,
    remedy="FLUXBASE_DEBUG=false",
)
def debug_is_on(facts: Facts) -> Iterator[Found]:
    """`debug` is true."""
    setting = facts.configuration.get("debug")
    if setting is not None and facts.configuration.flag("debug"):
        yield Found(setting.place, "debug mode is on", None if facts.production else Severity.HIGH.lowered(2))


@rule(
    "FB-ENV-002",
    "Switch for tests or emergencies is on",
    severity=Severity.MEDIUM,
    point=Point.AUDITS,
    quote="Use different configurations for environments",
    explanation="""
    A token that passes the CAPTCHA is for tests of the server (until 2026.3.6): high. The variables
    …_FORCE_PASSWORD_LOGIN allow passwords again where single sign-on is required: they are for the day on which the
    provider fails. FLUXBASE_TEST_MODE is low.
    """,
    remedy="# Remove the variable, and restart the server.",
)
def test_switch_is_on(facts: Facts) -> Iterator[Found]:
    """A switch that is not for normal operation."""
    configuration = facts.configuration
    token = configuration.get("security.captcha.test_bypass_token") if configuration.release != MAIN else None
    if token is not None:
        yield Found(token.place, "requests with this token pass the CAPTCHA", Severity.HIGH)
    for name in ("FLUXBASE_APP_FORCE_PASSWORD_LOGIN", "FLUXBASE_DASHBOARD_FORCE_PASSWORD_LOGIN"):
        setting = configuration.variable(name)
        if setting is not None and go_bool(setting.text):
            yield Found(setting.place, "passwords are allowed where single sign-on is required")
    mode = configuration.variable("FLUXBASE_TEST_MODE")
    if mode is not None and mode.text == "1":
        yield Found(mode.place, "the server runs in test mode", Severity.LOW)
