"""Names that look like settings of the server and that it does not read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fluxbase_cli.security.finding import Severity


@dataclass(frozen=True, slots=True)
class Inert:
    """A name that the server does not read.

    Attributes:
        severity: how bad it is that it does nothing.
        remedy: what to set instead.
    """

    severity: Severity
    remedy: str


_HIGH, _MEDIUM, _INFO = Severity.HIGH, Severity.MEDIUM, Severity.INFO
_LIMITS = Inert(
    _HIGH,
    "# The server's only limit for all requests is 100 a minute for each address that connects:\n"
    "FLUXBASE_SECURITY_ENABLE_GLOBAL_RATE_LIMIT=true\n"
    "# Behind a proxy, set the limit at the proxy instead. Then remove this setting.",
)
_HEADERS = Inert(
    _HIGH, "# The server's headers are fixed. Add what is missing at the proxy in front of it, and remove this setting."
)
_CSRF = Inert(_HIGH, "# The server has no such setting. Remove it.")
_ENVIRONMENT = Inert(
    _HIGH, "FLUXBASE_DEBUG=false    # the only setting that makes a server one for development. Remove this one."
)
_LEVEL = Inert(_HIGH, "FLUXBASE_DEBUG=false    # the level is info, or debug with FLUXBASE_DEBUG. Remove this setting.")
_REDIS = Inert(
    _HIGH,
    "FLUXBASE_SCALING_BACKEND=redis\nFLUXBASE_SCALING_REDIS_URL=rediss://:PASSWORD@HOST:6379/0    # remove this one",
)

#: Blocks of the file by the beginnings of their paths: those of the documentation, and what people write instead.
SECTIONS: Mapping[str, Inert] = {
    "auth.jwt": Inert(_HIGH, "auth:\n  jwt_expiry: 15m\n  refresh_expiry: 168h\n# and FLUXBASE_AUTH_JWT_SECRET"),
    "ratelimit": _LIMITS,
    "rate_limit": _LIMITS,
    "rate_limiting": _LIMITS,
    "security.rate_limit": _LIMITS,
    "security.rate_limiting": _LIMITS,
    "server.security_headers": _HEADERS,
    "server.headers": _HEADERS,
    "security.headers": _HEADERS,
    "security_headers": _HEADERS,
    "security.csrf": _CSRF,
    "csrf": _CSRF,
    "server.tls": Inert(_HIGH, "# The server has no TLS. Terminate TLS at a proxy, and remove this setting."),
    "tls": Inert(_HIGH, "# The server has no TLS. Terminate TLS at a proxy, and remove this setting."),
    "environment": _ENVIRONMENT,
    "env": _ENVIRONMENT,
    "log_level": _LEVEL,
    "redis": _REDIS,
}
#: Variables by the beginnings of their names.
VARIABLES: Mapping[str, Inert] = {
    "FLUXBASE_AUTH_JWT_EXPIRATION": Inert(_HIGH, "FLUXBASE_AUTH_JWT_EXPIRY=15m"),
    "FLUXBASE_AUTH_JWT_REFRESH": Inert(_HIGH, "FLUXBASE_AUTH_REFRESH_EXPIRY=168h"),
    "FLUXBASE_JWT_SECRET": Inert(_HIGH, "FLUXBASE_AUTH_JWT_SECRET=…"),
    "FLUXBASE_SETUP_TOKEN": Inert(_HIGH, "FLUXBASE_SECURITY_SETUP_TOKEN=…"),
    "FLUXBASE_RATE_LIMIT": _LIMITS,
    "FLUXBASE_RATELIMIT": _LIMITS,
    "FLUXBASE_SECURITY_RATE_LIMIT": _LIMITS,
    "FLUXBASE_SECURITY_HEADERS": _HEADERS,
    "FLUXBASE_SERVER_SECURITY_HEADERS": _HEADERS,
    "FLUXBASE_SECURITY_CSRF": _CSRF,
    "FLUXBASE_ENV": _ENVIRONMENT,
    "FLUXBASE_ENVIRONMENT": _ENVIRONMENT,
    "FLUXBASE_LOG_LEVEL": _LEVEL,
    "FLUXBASE_REDIS": _REDIS,
    "FLUXBASE_DRAGONFLY": _REDIS,
    "FLUXBASE_AUTH_OAUTH_PROVIDERS_": Inert(
        _MEDIUM, "# Write the providers into fluxbase.yaml (auth.oauth_providers) or add them in the dashboard."
    ),
    "FLUXBASE_AUTH_SAML_PROVIDERS_": Inert(
        _MEDIUM, "# Write the providers into fluxbase.yaml (auth.saml_providers) or add them in the dashboard."
    ),
    "FLUXBASE_FEATURES_": Inert(_MEDIUM, "# Each part has its own setting, such as FLUXBASE_FUNCTIONS_ENABLED=false."),
    "FLUXBASE_ADMIN_EMAIL": Inert(_MEDIUM, "# The first administrator is made with the setup token. Remove it."),
    "FLUXBASE_ADMIN_PASSWORD": Inert(_MEDIUM, "# The first administrator is made with the setup token. Remove it."),
    "FLUXBASE_CLIENT_KEYS": Inert(_MEDIUM, "# Client keys are made in the dashboard. Remove it."),
    # What the server's own image and chart set, and nobody can leave out.
    "FLUXBASE_AUTH_ANON_KEY": Inert(_INFO, "# The server's chart sets it. Nothing to do."),
    "FLUXBASE_AUTH_SERVICE_ROLE_KEY": Inert(_INFO, "# The server's chart sets it. Nothing to do."),
}
#: Variables that the server reads without a setting in its configuration.
DIRECT_VARIABLES = frozenset(
    {
        "FLUXBASE_APP_FORCE_PASSWORD_LOGIN",
        "FLUXBASE_DASHBOARD_FORCE_PASSWORD_LOGIN",
        "FLUXBASE_TEST_MODE",
        # What the server reads from its table app.settings, or from the variable with that name.
        "FLUXBASE_AUTH_ALLOW_USER_CLIENT_KEYS",
        "FLUXBASE_AUTH_DISABLE_APP_PASSWORD_LOGIN",
        "FLUXBASE_AUTH_PASSWORD_REQUIRE_LOWERCASE",
        "FLUXBASE_AUTH_PASSWORD_REQUIRE_NUMBER",
        "FLUXBASE_AUTH_PASSWORD_REQUIRE_SPECIAL",
        "FLUXBASE_AUTH_PASSWORD_REQUIRE_UPPERCASE",
        "FLUXBASE_AUTH_REQUIRE_EMAIL_VERIFICATION",
        "FLUXBASE_SECURITY_ENABLE_GLOBAL_RATE_LIMIT",
    }
)
#: Variables of others that begin with FLUXBASE_: of this program, of Compose files, of the server's own tools.
FOREIGN_VARIABLES = frozenset(
    {
        "FLUXBASE_ANON_KEY",
        "FLUXBASE_DATABASE_URL",
        "FLUXBASE_HOST",
        "FLUXBASE_IMAGE",
        "FLUXBASE_IMAGE_TAG",
        "FLUXBASE_KEY",
        "FLUXBASE_PORT",
        "FLUXBASE_SECRET_KEY",
        "FLUXBASE_SERVER",
        "FLUXBASE_SERVICE_KEY",
        "FLUXBASE_SERVICE_ROLE_KEY",
        "FLUXBASE_TAG",
        "FLUXBASE_TOKEN",
        "FLUXBASE_URL",
        "FLUXBASE_VERSION",
    }
)
FOREIGN_PREFIXES = (
    "FLUXBASE_CLI_",
    "FLUXBASE_SECRET_KEY_",
    "FLUXBASE_SECURITY_CHECK_",
    "FLUXBASE_SECURITY_ENCRYPTION_",
    "FLUXBASE_TENANTS__",
    "FLUXBASE_TEST_",
)
#: Sections of the file that belong to this program.
OUR_SECTIONS = ("security.encryption.", "security.check.")


def documented(name: str, table: Mapping[str, Inert], separator: str) -> tuple[str, Inert] | None:
    """The longest entry that a name begins with, as a whole word.

    Args:
        name: a path or a variable.
        table: `SECTIONS` or `VARIABLES`.
        separator: what ends a word: a dot or an underscore.
    """
    found = [
        each
        for each in table
        if name == each or name.startswith(each if each.endswith(separator) else each + separator)
    ]
    return (max(found, key=len), table[max(found, key=len)]) if found else None
