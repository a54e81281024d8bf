"""How to get a token: as Vault's command line does, or by the configured login."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fluxbase_cli.config import Secret, VaultAuth, VaultMethod
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.vault.connection import FORBIDDEN, NOT_FOUND, Connection, Request

_SECTION = "security.encryption.vault.auth"
_KUBERNETES_TOKEN_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105  # a file's name
_TOKEN_FILE = ".vault-token"  # noqa: S105  # a file's name


@dataclass(frozen=True, slots=True)
class Token:
    """A token.

    Attributes:
        secret: the token itself.
        origin: where it came from, for messages.
        can_be_renewed: whether another login gives a new one.
    """

    secret: Secret
    origin: str
    can_be_renewed: bool = False


def obtain_token(connection: Connection, auth: VaultAuth, environ: Mapping[str, str]) -> Token:
    """Find a token, or log in to get one.

    `VAULT_TOKEN` comes first, because the environment takes precedence over the file. Then comes the configured login
    or token. Then comes `~/.vault-token`, which `vault login` writes.

    Raises:
        ConfigurationError: there is no token, or the login is refused.
    """
    if given := environ.get("VAULT_TOKEN", "").strip():
        return Token(_header(given, "environment: VAULT_TOKEN"), "environment: VAULT_TOKEN")
    match auth.method:
        case VaultMethod.APPROLE:
            return _log_in(connection, auth, _approle(auth))
        case VaultMethod.KUBERNETES:
            return _log_in(connection, auth, _jwt(auth, _KUBERNETES_TOKEN_FILE))
        case VaultMethod.JWT:
            return _log_in(connection, auth, _jwt(auth, None))
        case VaultMethod.TOKEN:
            return _configured_token(auth, environ)


def _configured_token(auth: VaultAuth, environ: Mapping[str, str]) -> Token:
    if auth.token:
        return Token(_header(auth.token.reveal().strip(), f"{_SECTION}.token"), f"{_SECTION}.token")
    home = environ.get("HOME")
    path = Path(home) / _TOKEN_FILE if home else None
    if path is not None and _is_file(path):
        text = _read(path, f"~/{_TOKEN_FILE}")
        if text:
            return Token(_header(text, f"~/{_TOKEN_FILE}"), f"~/{_TOKEN_FILE}")
    raise ConfigurationError(
        "there is no token for Vault",
        hint=f"Set VAULT_TOKEN, run `vault login`, or configure a login ({_SECTION}.method: approle, kubernetes, jwt).",
    )


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ConfigurationError(
            f"~/{_TOKEN_FILE} can't be looked for: {error.strerror or type(error).__name__}",
            hint=f"Set VAULT_TOKEN, correct HOME, or configure a login ({_SECTION}.method: approle, kubernetes, jwt).",
        ) from None


def _approle(auth: VaultAuth) -> dict[str, str]:
    if not auth.role_id:
        raise _missing("role_id", auth)
    fields = {"role_id": auth.role_id.reveal()}
    # A role may be configured so that it needs no secret id.
    if secret := _secret_or_file(auth.secret_id, auth.secret_id_file, "secret_id_file"):
        fields["secret_id"] = secret
    return fields


def _jwt(auth: VaultAuth, default_file: str | None) -> dict[str, str]:
    jwt = _secret_or_file(auth.jwt, auth.jwt_file or default_file, "jwt_file")
    if not jwt:
        raise _missing("jwt or jwt_file", auth)
    # Without a role, Vault uses the default role of the method.
    return {"jwt": jwt, **({"role": auth.role} if auth.role else {})}


def _missing(what: str, auth: VaultAuth) -> ConfigurationError:
    return ConfigurationError(
        f"{_SECTION} has no {what}, which the login by {auth.method} needs", hint="Set it, or choose another method."
    )


def _secret_or_file(secret: Secret | None, file: str | None, setting: str) -> str:
    if secret:
        return secret.reveal().strip()
    return _read(Path(file), f"{_SECTION}.{setting}: {file}") if file else ""


def _log_in(connection: Connection, auth: VaultAuth, fields: Mapping[str, str]) -> Token:
    mount = f"auth/{(auth.mount or auth.method).strip('/').removeprefix('auth/')}"
    response = connection.ask(Request("POST", f"{mount}/login", dict(fields)))
    if response.is_ok:
        found = response.body.get("auth")
        token = found.get("client_token") if isinstance(found, Mapping) else None
        if isinstance(token, str) and token:
            return Token(Secret(token), f"the login by {auth.method} at {mount}", can_be_renewed=True)
    if "namespace not found" in response.error_text:
        raise no_namespace(connection)
    # If no method is mounted there, Vault answers as it does when it refuses a login.
    absent = response.status in (NOT_FOUND, FORBIDDEN)
    refuses = "has no such login, or refuses it:" if absent else "refuses the login:"
    raise ConfigurationError(
        f"{connection.name} {refuses} {auth.method} at {mount} (HTTP {response.status})",
        hint=f"Check {', '.join(_to_check(auth))} in {_SECTION}. "
        "A secret id or a jwt may have expired: make a new one.",
    )


def _to_check(auth: VaultAuth) -> tuple[str, ...]:
    return ("mount", "role_id", "secret_id") if auth.method is VaultMethod.APPROLE else ("mount", "role", "jwt")


def no_namespace(connection: Connection) -> ConfigurationError:
    """The error for a namespace that does not exist."""
    return ConfigurationError(
        f"{connection.name} has no namespace {connection.namespace}",
        hint="Check VAULT_NAMESPACE or security.encryption.vault.namespace.",
    )


def _read(path: Path, place: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        raise ConfigurationError(
            f"{place} can't be read", hint="Check that the file exists, and that this user may read it (`ls -l`)."
        ) from None


def _header(text: str, place: str) -> Secret:
    # The library would quote a token that it can't send.
    if not (text.isascii() and text.isprintable()):
        raise ConfigurationError(
            f"{place} holds no token: it has characters that no token has",
            hint="Write only the token there, on one line.",
        )
    return Secret(text)
