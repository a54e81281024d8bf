"""Rules of the security check on the configuration: each planted fault is found by its rule and by no other."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.registry import find_rule
from fluxbase_cli.security.run import Report, run_rules
from tests.fixtures.security import (
    DATABASE_PASSWORD,
    ENCRYPTION_KEY,
    GOOD,
    JWT_SECRET,
    NO_DATABASE,
    SETUP_TOKEN,
    TODAY,
    check,
    configuration_of,
)

#: The default of the Compose file in the server's repository.
PUBLISHED = "haEae1GZfKa/lzMHyNFIR5iL0FZFIMMxMN3pb2jqCRc="
#: Supabase's, whose tokens the server accepts.
SUPABASE = "super-secret-jwt-token-with-at-least-32-characters-long"
#: A signing key in hexadecimal, which is strong, and which the server refuses.
HEXADECIMAL = "7f3a9c1e5b8d2046f1e3a7c95d8b602493af7c1e6b5d8024e9f3a1c7d5b86042"


def token(**claims: object) -> str:
    """An unsigned token with these claims."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{payload}.c2lnbmF0dXJl"


def _short(value: object) -> str:
    return str(value)[:30]


def with_variables(**more: str) -> Mapping[str, str]:
    """The good variables with these."""
    return {**GOOD, **more}


def checked(
    tmp_path: Path,
    text: str | None = None,
    variables: Mapping[str, str] = GOOD,
    *,
    release: str = "2026.3.6",
    complete: bool = True,
    production: bool = True,
) -> Report:
    configuration = configuration_of(tmp_path, text, variables, release=release, complete=complete)
    return check(configuration=configuration, production=production)


def worse_than_low(report: Report) -> set[tuple[str, str]]:
    """Rule and severity of the findings of medium and above."""
    return {(each.rule, each.severity.word) for each in report.findings if each.severity.word not in ("low", "info")}


def seen(report: Report, *rules: str) -> set[tuple[str, str, str]]:
    """Rule, severity and place of the findings of these rules."""
    return {(each.rule, each.severity.word, each.place.name) for each in report.findings if each.rule in rules}


# --- one fault, one rule ----------------------------------------------------------------------------------------------

VARIABLE_FAULTS = [
    ("FB-JWT-001", "critical", {"FLUXBASE_AUTH_JWT_SECRET": PUBLISHED}),
    ("FB-JWT-003", "medium", {"FLUXBASE_AUTH_JWT_EXPIRY": "2h"}),
    ("FB-JWT-003", "high", {"FLUXBASE_AUTH_JWT_EXPIRY": "24h0m1s"}),
    ("FB-JWT-004", "medium", {"FLUXBASE_AUTH_REFRESH_EXPIRY": "721h"}),
    ("FB-JWT-004", "high", {"FLUXBASE_AUTH_REFRESH_EXPIRY": "2161h"}),
    ("FB-JWT-005", "medium", {"FLUXBASE_AUTH_SERVICE_ROLE_TTL": "48h"}),
    ("FB-JWT-005", "high", {"FLUXBASE_AUTH_SERVICE_ROLE_TTL": "8760h"}),
    ("FB-JWT-005", "high", {"FLUXBASE_SERVICE_ROLE_KEY": token(role="service_role")}),
    ("FB-JWT-005", "medium", {"SUPABASE_SERVICE_KEY": token(role="service_role", exp=1_796_000_000)}),
    ("FB-JWT-006", "critical", {"NEXT_PUBLIC_KEY": token(role="service_role", exp=1)}),
    ("FB-JWT-006", "critical", {"VITE_FLUXBASE_KEY": "sk_k3J9vXz2Lw9sYp0KdR3uHb8"}),
    ("FB-ENC-001", "critical", {"FLUXBASE_ENCRYPTION_KEY": "your-32-character-encryption-key"}),
    ("FB-ENC-002", "high", {"FLUXBASE_ENCRYPTION_KEY": "abcabcabcabcabcabcabcabcabcabcab"}),
    ("FB-SEC-003", "high", {"FLUXBASE_SECURITY_SETUP_TOKEN": JWT_SECRET}),
    ("FB-ADM-001", "critical", {"FLUXBASE_SECURITY_SETUP_TOKEN": "change-me-in-production"}),
    ("FB-ADM-001", "critical", {"FLUXBASE_SECURITY_SETUP_TOKEN": "x7Kq2"}),
    ("FB-ADM-001", "high", {"FLUXBASE_SECURITY_SETUP_TOKEN": "Zk3vXz2Lw9sYp0KdR3"}),
    ("FB-CFG-001", "high", {"FLUXBASE_ENV": "production"}),
    ("FB-CFG-001", "high", {"FLUXBASE_RATE_LIMIT_ENABLED": "true"}),
    ("FB-CFG-001", "high", {"FLUXBASE_SECURITY_HEADERS_HSTS": "true"}),
    ("FB-CFG-001", "medium", {"FLUXBASE_AUTH_JWT_EXPRIY": "15m"}),
    ("FB-CFG-001", "medium", {"FLUXBASE_SECURITY_AUTH_SIGNUP_RATE_LIMIT": "3"}),
    ("FB-CFG-001", "medium", {"FLUXBASE_AUTH_SAML_PROVIDERS_0_NAME": "okta"}),
    ("FB-CFG-002", "high", {"FLUXBASE_AUTH_JWT_SECRET": "${PRODUCTION_JWT_SECRET}"}),
    ("FB-CFG-002", "critical", {"FLUXBASE_SECURITY_SETUP_TOKEN": "${SETUP_TOKEN}"}),
    ("FB-CFG-002", "medium", {"FLUXBASE_DEBUG": "${DEBUG}"}),
    ("FB-CFG-004", "high", {"FLUXBASE_ENCRYPTION_KEY": ENCRYPTION_KEY + "x"}),
    ("FB-CFG-004", "high", {"FLUXBASE_AUTH_JWT_SECRET": HEXADECIMAL}),
    ("FB-CFG-004", "high", {"FLUXBASE_DATABASE_SSL_MODE": "on"}),
    ("FB-CFG-004", "high", {"FLUXBASE_SCALING_BACKEND": "redis"}),
    ("FB-CFG-004", "high", {"FLUXBASE_DEBUG": "yes"}),
    ("FB-CFG-004", "high", {"FLUXBASE_AUTH_JWT_EXPIRY": "900"}),
    ("FB-CFG-004", "high", {"FLUXBASE_AUTH_BCRYPT_COST": "40"}),
    ("FB-CFG-004", "high", {"FLUXBASE_BASE_URL": "localhost:8080"}),
    (
        "FB-TLS-001",
        "high",
        {"FLUXBASE_PUBLIC_BASE_URL": "http://api.example.com", "FLUXBASE_SERVER_TRUSTED_PROXIES": "::1"},
    ),
    ("FB-TLS-002", "high", {"FLUXBASE_DATABASE_HOST": "db.example.com"}),
    ("FB-CORS-001", "medium", {"FLUXBASE_CORS_ALLOWED_ORIGINS": "https://app.example.com, *"}),
    ("FB-ENV-001", "high", {"FLUXBASE_DEBUG": "true"}),
    ("FB-ENV-002", "medium", {"FLUXBASE_APP_FORCE_PASSWORD_LOGIN": "true"}),
    ("FB-API-004", "high", {"FLUXBASE_MIGRATIONS_ALLOWED_IP_RANGES": "10.0.0.0/8,0.0.0.0/0"}),
    ("FB-API-004", "high", {"FLUXBASE_SERVER_TRUSTED_PROXIES": "::/0"}),
    ("FB-LOG-001", "medium", {"FLUXBASE_LOGGING_SECURITY_RETENTION_DAYS": "30"}),
    ("FB-ROLE-006", "high", {"FLUXBASE_DATABASE_PASSWORD": "postgres"}),
    (
        "FB-RATE-001",
        "medium",
        {"FLUXBASE_PUBLIC_BASE_URL": "http://10.1.2.3", "FLUXBASE_SECURITY_ENABLE_GLOBAL_RATE_LIMIT": "false"},
    ),
    ("FB-RATE-002", "medium", {"FLUXBASE_SCALING_ENABLE_SCHEDULER_LEADER_ELECTION": "true"}),
]


@pytest.mark.parametrize("release", ["2026.3.6", "main"])
@pytest.mark.parametrize(("rule", "severity", "fault"), VARIABLE_FAULTS, ids=_short)
def test_a_fault_in_a_variable_is_found_by_its_rule_alone(
    tmp_path: Path, rule: str, severity: str, fault: dict[str, str], release: str
) -> None:
    report = checked(tmp_path, None, with_variables(**fault), release=release)

    assert worse_than_low(report) == {(rule, severity)}
    secrets = (JWT_SECRET, ENCRYPTION_KEY, SETUP_TOKEN, DATABASE_PASSWORD, *fault.values())
    assert not any(value in repr(report) for value in secrets if len(value) > 20 and "." not in value)


FILE_FAULTS = [
    ("FB-CFG-001", "high", "auth:\n  jwt:\n    secret: abc\n    expiry: 1h\n", "auth.jwt"),
    ("FB-CFG-001", "high", "ratelimit:\n  backend: redis\n  limits: {anonymous: 100}\n", "ratelimit"),
    ("FB-CFG-001", "high", "server:\n  security_headers:\n    X-Frame-Options: DENY\n", "server.security_headers"),
    ("FB-CFG-001", "medium", "server:\n  adress: ':8080'\n", "server.adress"),
    ("FB-CFG-002", "medium", "storage:\n  local_path: ${STORAGE}\n", "storage.local_path"),
    ("FB-CFG-003", "high", "auth:\n  jwt_expiry: [15m\n", "fluxbase.yaml"),
    ("FB-SEC-001", "medium", "email:\n  smtp_password: kJ3bVq8s\n", "email.smtp_password"),
    ("FB-SEC-001", "medium", "scaling:\n  redis_url: rediss://:kJ3bVq8s@cache:6379/0\n", "scaling.redis_url"),
    (
        "FB-SEC-001",
        "medium",
        "auth:\n  oauth_providers:\n    - {name: google, client_id: x, client_secret: kJ3bVq8s}\n",
        "auth.oauth_providers[0].client_secret",
    ),
    (
        "FB-SSO-001",
        "high",
        "auth:\n  saml_providers:\n    - {name: okta, enabled: true, idp_metadata_url: 'http://okta.example.com/m'}\n",
        "auth.saml_providers.okta.idp_metadata_url",
    ),
    (
        "FB-SSO-001",
        "medium",
        "auth:\n  saml_providers:\n    - {name: okta, enabled: true, allow_idp_initiated: true}\n",
        "auth.saml_providers.okta.allow_idp_initiated",
    ),
    (
        "FB-SSO-002",
        "high",
        "auth:\n  oauth_providers:\n    - {name: google, client_id: x, allow_dashboard_login: true}\n",
        "auth.oauth_providers.google.allow_dashboard_login",
    ),
    (
        "FB-SSO-002",
        "medium",
        "auth:\n  oauth_providers:\n  - {name: own, issuer_url: 'https://id.example', allow_dashboard_login: true}\n",
        "auth.oauth_providers.own.allow_dashboard_login",
    ),
    ("FB-ENV-002", "high", "security:\n  captcha:\n    test_bypass_token: kJ3bVq8s\n", None),
]


@pytest.mark.parametrize(("rule", "severity", "text", "name"), FILE_FAULTS, ids=_short)
def test_a_fault_in_the_file_is_found_by_its_rule_alone(
    tmp_path: Path, rule: str, severity: str, text: str, name: str | None
) -> None:
    report = checked(tmp_path, text)

    # A secret in the file is one more fault.
    others = {("FB-SEC-001", "medium")} if "test_bypass_token" in text else set()
    assert worse_than_low(report) == {(rule, severity)} | others
    assert name is None or (rule, severity, name) in seen(report, rule)
    assert "kJ3bVq8s" not in repr(report)


@pytest.mark.parametrize("release", ["2026.1.4", "2026.2.3", "2026.3.6", "main"])
def test_a_server_in_good_order_has_no_finding_of_medium_or_above(tmp_path: Path, release: str) -> None:
    report = checked(tmp_path, None, release=release)

    assert worse_than_low(report) == set()


# --- what is not known ------------------------------------------------------------------------------------------------


def test_secrets_that_are_nowhere_are_not_checked(tmp_path: Path) -> None:
    report = checked(tmp_path, "public_base_url: https://api.example.com\n", {}, complete=False)

    assert worse_than_low(report) == set()
    assert {"FB-JWT-001", "FB-JWT-002", "FB-CFG-004", "FB-ROLE-006"} <= {each.rule for each in report.not_checked}


def test_secrets_that_are_nowhere_are_missing_if_all_variables_are_known(tmp_path: Path) -> None:
    report = checked(tmp_path, "public_base_url: https://api.example.com\n", {}, complete=True)

    assert {
        ("FB-CFG-004", "high", "FLUXBASE_ENCRYPTION_KEY"),
        ("FB-CFG-004", "high", "FLUXBASE_AUTH_JWT_SECRET"),
    } <= seen(report, "FB-CFG-004")
    assert ("FB-JWT-001", "critical", "auth.jwt_secret") in seen(report, "FB-JWT-001")


def test_without_a_configuration_nothing_is_passed() -> None:
    report = check()

    assert report.findings == ()
    assert {each.rule for each in report.not_checked} == {each.id for each in report.rules} - {
        "FB-CHK-001",
        "FB-CHK-002",
    }
    assert {each.status.value for each in report.checklist} == {"not checked"}


# --- what makes a difference ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "severity"),
    [
        ("security.setup_token", "critical"),
        ("encryption_key", "critical"),
        ("auth.jwt_secret", "high"),
        ("debug", "medium"),
    ],
)
def test_a_reference_in_the_file_is_as_bad_as_the_setting(tmp_path: Path, path: str, severity: str) -> None:
    section, _, name = path.rpartition(".")
    text = f"{section}:\n  {name}: ${{SETUP}}\n" if section else f"{name}: ${{SETUP}}\n"
    variables = {name: value for name, value in GOOD.items() if name != "FLUXBASE_" + path.upper().replace(".", "_")}

    assert ("FB-CFG-002", severity, path) in seen(checked(tmp_path, text, variables), "FB-CFG-002")


def test_a_reference_that_a_variable_overrides_is_no_finding(tmp_path: Path) -> None:
    assert seen(checked(tmp_path, "auth:\n  jwt_secret: ${JWT_SECRET}\n"), "FB-CFG-002", "FB-SEC-001") == set()


def test_our_own_section_is_neither_inert_nor_literal(tmp_path: Path) -> None:
    text = "security:\n  encryption:\n    active_key_version: 1\n    keys:\n      - {version: 1, key: '${KEY}'}\n"

    assert seen(checked(tmp_path, text), "FB-CFG-001", "FB-CFG-002", "FB-SEC-001") == set()


def test_a_secret_that_a_variable_overrides_is_told_as_unused(tmp_path: Path) -> None:
    report = checked(tmp_path, f"auth:\n  jwt_secret: {PUBLISHED}\n")

    assert seen(report, "FB-SEC-001", "FB-JWT-001") == {("FB-SEC-001", "info", "auth.jwt_secret")}


def test_a_variable_without_default_counts_if_the_file_has_the_setting(tmp_path: Path) -> None:
    text = "security:\n  auth_signup_rate_limit: 10\n"
    report = checked(tmp_path, text, with_variables(FLUXBASE_SECURITY_AUTH_SIGNUP_RATE_LIMIT="3"))

    assert seen(report, "FB-CFG-001") == set()


def test_a_variable_without_default_does_not_count_alone(tmp_path: Path) -> None:
    variables = with_variables(FLUXBASE_SECURITY_CAPTCHA_TEST_BYPASS_TOKEN="kJ3bVq8s")

    assert worse_than_low(checked(tmp_path, None, variables)) == {("FB-CFG-001", "medium")}


@pytest.mark.parametrize(
    ("release", "found"), [("2026.2.2", set()), ("2026.2.3", {("FB-CFG-004", "high", "FLUXBASE_AUTH_JWT_SECRET")})]
)
def test_secrets_in_hexadecimal_are_refused_since_2026_2_3(
    tmp_path: Path, release: str, found: set[tuple[str, str, str]]
) -> None:
    report = checked(tmp_path, None, with_variables(FLUXBASE_AUTH_JWT_SECRET=HEXADECIMAL), release=release)

    assert seen(report, "FB-CFG-004", "FB-JWT-002") == found


def test_references_in_a_env_file_are_replaced_as_the_server_does(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        f"SECRET={JWT_SECRET}\nFLUXBASE_AUTH_JWT_SECRET=${{SECRET}}\nFLUXBASE_SECURITY_SETUP_TOKEN=${{NOWHERE}}\n"
        "FLUXBASE_ADMIN_ENABLED=true\nFLUXBASE_DATABASE_PASSWORD='pa$WORD'\n",
        encoding="utf-8",
    )
    configuration = configuration_of(tmp_path)

    assert configuration.text("auth.jwt_secret") == JWT_SECRET
    # The server sees an empty variable.
    assert configuration.get("security.setup_token") is None
    assert configuration.text("database.password") == "pa$WORD"


def test_a_supabase_secret_is_published(tmp_path: Path) -> None:
    report = checked(tmp_path, None, with_variables(FLUXBASE_AUTH_JWT_SECRET=SUPABASE), release="2026.2.2")

    assert worse_than_low(report) == {("FB-JWT-001", "critical")}


@pytest.mark.parametrize(
    ("secret", "severity"), [("my-own-change-me-secret-of-40-characters", "high"), ("short7Kq2", "high")]
)
def test_a_weak_secret(tmp_path: Path, secret: str, severity: str) -> None:
    report = checked(tmp_path, None, with_variables(FLUXBASE_AUTH_JWT_SECRET=secret), release="2026.2.2")

    assert worse_than_low(report) == {("FB-JWT-002", severity)}


def test_a_tenant_of_main_has_its_own_secret(tmp_path: Path) -> None:
    text = f"tenants:\n  configs:\n    acme:\n      auth:\n        jwt_secret: {PUBLISHED}\n"

    assert ("FB-JWT-001", "critical", "tenants.configs.acme.auth.jwt_secret") in seen(
        checked(tmp_path, text, release="main"), "FB-JWT-001"
    )
    assert seen(checked(tmp_path, text), "FB-JWT-001") == set()


def test_settings_for_development_weigh_less_on_this_machine(tmp_path: Path) -> None:
    variables = with_variables(FLUXBASE_PUBLIC_BASE_URL="http://localhost:8080", FLUXBASE_DEBUG="true")
    variables = {**variables, "FLUXBASE_DATABASE_PASSWORD": "postgres"}

    assert worse_than_low(checked(tmp_path, None, variables, production=False)) == set()


@pytest.mark.parametrize(
    ("host", "mode", "severity"),
    [
        ("localhost", "disable", None),
        ("/var/run/postgresql", "disable", None),
        ("postgres", "disable", "low"),
        ("10.2.3.4", "prefer", "low"),
        ("db.svc.cluster.local", "disable", "low"),
        ("db.example.com", "prefer", "high"),
        ("9.9.9.9", "require", "low"),
        ("db.example.com", "verify-full", None),
    ],
)
def test_the_connection_to_the_database_by_its_host(tmp_path: Path, host: str, mode: str, severity: str | None) -> None:
    variables = with_variables(FLUXBASE_DATABASE_HOST=host, FLUXBASE_DATABASE_SSL_MODE=mode)
    report = checked(tmp_path, None, variables)

    assert {each[1] for each in seen(report, "FB-TLS-002")} == ({severity} if severity else set())


@pytest.mark.parametrize(("add", "severity"), [(True, "high"), (False, "medium")], ids=["tracked", "not tracked"])
def test_a_secret_in_a_file_that_git_tracks_is_worse(tmp_path: Path, *, add: bool, severity: str) -> None:
    (tmp_path / "fluxbase.yaml").write_text("email:\n  smtp_password: kJ3bVq8s\n", encoding="utf-8")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    if add:
        subprocess.run(["git", "-C", str(tmp_path), "add", "fluxbase.yaml"], check=True)

    report = checked(tmp_path, "email:\n  smtp_password: kJ3bVq8s\n")

    assert seen(report, "FB-SEC-001") == {("FB-SEC-001", severity, "email.smtp_password")}


def test_without_git_a_secret_in_a_file_is_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    report = checked(tmp_path, "email:\n  smtp_password: kJ3bVq8s\n")

    assert seen(report, "FB-SEC-001") == {("FB-SEC-001", "medium", "email.smtp_password")}


def test_environments_must_not_share_secrets(tmp_path: Path) -> None:
    ours = configuration_of(tmp_path, None, GOOD)
    theirs = configuration_of(tmp_path, None, {**GOOD, "FLUXBASE_AUTH_JWT_SECRET": SETUP_TOKEN})
    facts = Facts(TODAY, None, True, ours, NO_DATABASE)  # noqa: FBT003  # production
    rule = find_rule("fb-sec-003")
    assert rule is not None

    report = run_rules(replace(facts, compared=(("staging.yaml", theirs),)), [rule])

    assert {each.place.name for each in report.findings} == {
        "FLUXBASE_ENCRYPTION_KEY",
        "FLUXBASE_SECURITY_SETUP_TOKEN",
        "FLUXBASE_DATABASE_PASSWORD",
    }
    assert DATABASE_PASSWORD not in repr(report)
