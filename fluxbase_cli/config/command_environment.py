"""Which of our variables the operator's commands get.

They get the variables that are needed to find and run programs, and those that `pass_environment` names. They get no
key, token or password of our own environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PASSED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "TMPDIR", "LANG", "LANGUAGE", "TZ", "TERM", "NO_COLOR"),
        *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"),
        *("COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "COMPOSE_PATH_SEPARATOR", "COMPOSE_ENV_FILES"),
        *("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"),
        *("DBUS_SESSION_BUS_ADDRESS", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    }
)
_PASSED_PREFIX = "LC_"
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def clean_environment(environ: Mapping[str, str], passed: Iterable[str] = ()) -> dict[str, str]:
    """The variables that a command gets.

    Args:
        environ: our own variables.
        passed: the names in `pass_environment`.
    """
    names = _PASSED | frozenset(passed)
    kept = {name: value for name, value in environ.items() if name in names or name.startswith(_PASSED_PREFIX)}
    return {"PATH": _DEFAULT_PATH, **kept}
