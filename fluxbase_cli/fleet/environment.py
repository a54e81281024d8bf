"""The environment of an instance's process: some variables of our environment, and its own variables.

Only the variables that are named here are passed. An instance's configuration refers to variables by `${NAME}`, and our
environment would come first. If all variables were passed, the key of one instance could seal the values of another.
"""

from __future__ import annotations

from collections.abc import Mapping

from fluxbase_cli.fleet.file import Fleet, Instance

_NAMES = frozenset(
    {
        # Paths of programs and files, and the user.
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TEMP", "TMP"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
        *("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"),
        # The language and the time zone.
        *("LANG", "LANGUAGE", "TZ", "TZDIR"),
        # Proxies and certificate authorities.
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        # Kerberos.
        *("KRB5_CONFIG", "KRB5CCNAME", "KRB5_CLIENT_KTNAME", "KRB5_KTNAME"),
        # libpq: paths of passwords and certificates. Not the server, the database or a password itself.
        *("PGPASSFILE", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGSSLCRL", "PGSSLCRLDIR"),
    }
)
#: The locale, Python, the two services that keep keys, and telemetry. The account at such a service usually is the
#: operator's.
_PREFIXES = ("LC_", "PYTHON", "VAULT_", "AWS_", "OTEL_")


def variables_of(instance: Instance, fleet: Fleet, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of an instance's process.

    Args:
        instance: its `env_file` overrides the passed variables.
        fleet: names more variables to pass.
        environ: our environment.
    """
    named = frozenset(fleet.pass_environment)
    passed = {
        name: value for name, value in environ.items() if name in _NAMES or name in named or name.startswith(_PREFIXES)
    }
    return {**passed, **instance.variables}
