"""The section `security.encryption.vault`: the address of HashiCorp Vault, and how to log in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from fluxbase_cli.config.names import SectionNames
from fluxbase_cli.config.reader import Unquoted
from fluxbase_cli.config.secret import Secret
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from fluxbase_cli.config.reader import Reader

SECTION = "security.encryption.vault"
NAMES = SectionNames(SECTION, frozenset({"address", "ca_cert", "namespace"}), parts=frozenset({"auth"}))
AUTH_NAMES = SectionNames(
    f"{SECTION}.auth",
    frozenset({"jwt", "jwt_file", "method", "mount", "role", "role_id", "secret_id", "secret_id_file", "token"}),
)


class VaultMethod(StrEnum):
    """How to get a token."""

    #: A token is configured.
    TOKEN = "token"  # noqa: S105  # a method's name
    APPROLE = "approle"
    KUBERNETES = "kubernetes"
    JWT = "jwt"


@dataclass(frozen=True, slots=True)
class VaultAuth:
    """The section `auth`.

    Attributes:
        method: how to get a token.
        mount: where the method is mounted below `auth/`; None if the mount has the name of the method.
        role: the role, for `kubernetes` and `jwt`.
        role_id: the role's id, for `approle`.
        secret_id: the secret id, for `approle`; some roles need none.
        secret_id_file: a file with the secret id, instead of `secret_id`.
        jwt: the signed token, for `jwt` and `kubernetes`.
        jwt_file: a file with the signed token, instead of `jwt`.
        token: the token, for `token`.
    """

    method: VaultMethod = VaultMethod.TOKEN
    mount: str | None = None
    role: str | None = None
    role_id: Secret | None = None
    secret_id: Secret | None = None
    secret_id_file: str | None = None
    jwt: Secret | None = None
    jwt_file: str | None = None
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class VaultSettings:
    """The address of Vault, and how to log in. None means that Vault's own variables and defaults are used.

    Attributes:
        address: its URL.
        namespace: the namespace of the keys and the login.
        ca_cert: a file with the certificate authorities to trust.
        auth: how to log in.
    """

    address: str | None = None
    namespace: str | None = None
    ca_cert: str | None = None
    auth: VaultAuth = VaultAuth()


def read_vault(reader: Reader) -> VaultSettings:
    """Read the section. The provider reads Vault's own variables (`VAULT_ADDR`, …), not this function.

    Raises:
        ConfigurationError: a setting can't be used.
    """
    return VaultSettings(
        address=_text(reader, "address"),
        namespace=_text(reader, "namespace"),
        ca_cert=_text(reader, "ca_cert"),
        auth=VaultAuth(
            method=_method(reader),
            mount=_text(reader, "auth.mount"),
            role=_text(reader, "auth.role"),
            role_id=_secret(reader, "auth.role_id"),
            secret_id=_secret(reader, "auth.secret_id"),
            secret_id_file=_text(reader, "auth.secret_id_file"),
            jwt=_secret(reader, "auth.jwt"),
            jwt_file=_text(reader, "auth.jwt_file"),
            token=_secret(reader, "auth.token"),
        ),
    )


def _method(reader: Reader) -> VaultMethod:
    found = reader.text(f"{SECTION}.auth.method")
    if found is None or not found.text:
        return VaultMethod.TOKEN
    try:
        return VaultMethod(found.text.strip().lower())
    except ValueError:
        raise ConfigurationError(f"{found.place} must be one of {', '.join(VaultMethod)}") from None


def _text(reader: Reader, name: str) -> str | None:
    found = reader.text(f"{SECTION}.{name}")
    return found.text if found is not None and found.text else None


def _secret(reader: Reader, name: str) -> Secret | None:
    found = reader.text(f"{SECTION}.{name}", Unquoted.REFUSE)
    return Secret(found.text) if found is not None and found.text else None
