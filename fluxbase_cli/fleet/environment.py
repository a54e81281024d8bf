"""The environment of an instance's process: what it gets of ours, and its own variables.

Only what is named here passes. Whatever an instance's configuration refers to by `${NAME}` would otherwise be taken
from our environment first, and with it one instance's key could seal the values of another.
"""

from __future__ import annotations

from collections.abc import Mapping

from fluxbase_cli.fleet.file import Fleet, Instance

_NAMES = frozenset(
    {
        # Where programs, files and people are.
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
        # libpq: where passwords and certificates are; not which server or database, and not a password.
        *("PGPASSFILE", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGSSLCRL", "PGSSLCRLDIR"),
    }
)
#: The locale, Python itself, and the two services that keep keys: an account there is usually the operator's.
_PREFIXES = ("LC_", "PYTHON", "VAULT_", "AWS_")


def variables_of(instance: Instance, fleet: Fleet, environ: Mapping[str, str]) -> dict[str, str]:
    """All variables that an instance's process sees.

    Args:
        instance: its `env_file` beats what passes.
        fleet: names more variables that pass.
        environ: our own environment.
    """
    also = frozenset(fleet.pass_environment)
    passed = {
        name: value for name, value in environ.items() if name in _NAMES or name in also or name.startswith(_PREFIXES)
    }
    return {**passed, **instance.variables}
