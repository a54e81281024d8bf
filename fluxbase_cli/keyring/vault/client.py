"""The Vault client: finds the server and the token, and sends requests with the token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from fluxbase_cli.config import VaultAuth, VaultSettings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.vault.connection import (
    FORBIDDEN,
    NOT_FOUND,
    Connection,
    Request,
    Response,
    Tls,
    check_address,
    is_open_to_listeners,
)
from fluxbase_cli.keyring.vault.login import Token, no_namespace, obtain_token

_SECTION = "security.encryption.vault"
#: The default address of Vault's command line.
_DEFAULT_ADDRESS = "https://127.0.0.1:8200"
_FLAGS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("", "0", "f", "F", "FALSE", "false", "False"), False),
}


class VaultClient:
    """Sends requests to Vault. It logs in before the first request.

    Args:
        connection: the server.
        auth: how to log in.
        environ: the environment.
    """

    def __init__(self, connection: Connection, auth: VaultAuth, environ: Mapping[str, str]) -> None:
        self._connection = connection
        self._auth = auth
        self._environ = environ
        self._token: Token | None = None

    @property
    def name(self) -> str:
        """The name of the server in messages."""
        return self._connection.name

    def ask(self, request: Request, capability: str) -> Response:
        """Send a request.

        Args:
            request: the request.
            capability: what a policy must allow for it.

        Returns:
            The response, unless it is one of the refusals below.

        Raises:
            ConfigurationError: the request fails, the token is not accepted, or a policy does not allow this.
        """
        response = self._ask_with_token(request)
        if response.status == FORBIDDEN:
            raise self.denied(request.path, capability)
        if response.status == NOT_FOUND and "namespace not found" in response.error_text:
            raise no_namespace(self._connection)
        return response

    def look_up(self, request: Request) -> Response:
        """Send a request, and return the response even if it is a refusal.

        Raises:
            ConfigurationError: the request fails, or the token is not accepted.
        """
        return self._ask_with_token(request)

    def denied(self, path: str, capability: str) -> ConfigurationError:
        """The error for a missing policy."""
        namespace = f" in the namespace {self._connection.namespace}" if self._connection.namespace else ""
        return ConfigurationError(
            f"{self.name} denies {capability} on {path}",
            hint=f'The token needs a policy{namespace} with: path "{path}" {{ capabilities = ["{capability}"] }}',
        )

    def _ask_with_token(self, request: Request) -> Response:
        token = self._current_token()
        response = self._connection.ask(request, token.secret)
        if response.refuses_token and token.can_be_renewed:
            # The token was accepted before and has expired: an audit may run between two requests.
            self._token = None
            token = self._current_token()
            response = self._connection.ask(request, token.secret)
        if response.refuses_token:
            raise ConfigurationError(
                f"{self.name} does not accept the token ({token.origin})",
                hint="It has expired, was revoked, or belongs to another server or namespace. "
                "`vault login` makes a new one.",
            )
        return response

    def _current_token(self) -> Token:
        if self._token is None:
            self._token = obtain_token(self._connection, self._auth, self._environ)
        return self._token


def make_client(settings: VaultSettings, environ: Mapping[str, str], warn: Callable[[str], None]) -> VaultClient:
    """Make the client of the configured Vault. It sends no request yet.

    Vault's standard variables take precedence over the settings.

    Args:
        settings: the section `security.encryption.vault`.
        environ: the environment.
        warn: called with each warning about an unsafe connection.

    Raises:
        ConfigurationError: a setting can't be used.
    """
    address = _address(settings, environ)
    namespace = _namespace(settings, environ)
    tls = _tls(settings, environ)
    if tls.verify is False and address.startswith("https:"):
        warn(
            f"VAULT_SKIP_VERIFY is set: any server that answers at {address} is accepted as Vault and gets the token; "
            "unset it, and set VAULT_CACERT to the file with Vault's certificate authority"
        )
    if is_open_to_listeners(address):
        warn(
            f"Vault at {address} is used without TLS: others on the network can read the token and the keys; "
            "write https:// in its address"
        )
    return VaultClient(Connection(address, namespace=namespace, tls=tls), settings.auth, environ)


def _address(settings: VaultSettings, environ: Mapping[str, str]) -> str:
    if given := environ.get("VAULT_ADDR"):
        return check_address(given, "environment: VAULT_ADDR")
    return check_address(settings.address or _DEFAULT_ADDRESS, f"{_SECTION}.address")


def _namespace(settings: VaultSettings, environ: Mapping[str, str]) -> str | None:
    namespace = (environ.get("VAULT_NAMESPACE") or settings.namespace or "").strip().strip("/")
    if not (namespace.isascii() and namespace.isprintable()):
        place = "environment: VAULT_NAMESPACE" if environ.get("VAULT_NAMESPACE") else f"{_SECTION}.namespace"
        raise ConfigurationError(f"{place} is not a namespace", hint="Write its path, as in team/project.")
    return namespace or None


def _tls(settings: VaultSettings, environ: Mapping[str, str]) -> Tls:
    skipped = _FLAGS.get(environ.get("VAULT_SKIP_VERIFY", "").strip())
    if skipped is None:
        raise ConfigurationError(
            "environment: VAULT_SKIP_VERIFY must be true or false", hint="Unset it: false is the default."
        )
    certificate, key = environ.get("VAULT_CLIENT_CERT"), environ.get("VAULT_CLIENT_KEY")
    if bool(certificate) != bool(key):
        raise ConfigurationError("only one of VAULT_CLIENT_CERT and VAULT_CLIENT_KEY is set", hint="Set both, or none.")
    client = None
    if certificate and key:
        client = (
            _existing(certificate, "environment: VAULT_CLIENT_CERT"),
            _existing(key, "environment: VAULT_CLIENT_KEY"),
        )
    if skipped:
        return Tls(verify=False, client=client)
    for given, place in (
        (environ.get("VAULT_CACERT"), "environment: VAULT_CACERT"),
        (environ.get("VAULT_CAPATH"), "environment: VAULT_CAPATH"),
        (settings.ca_cert, f"{_SECTION}.ca_cert"),
    ):
        if given:
            return Tls(verify=_existing(given, place), client=client)
    return Tls(client=client)


def _existing(path: str, place: str) -> str:
    if not Path(path).exists():
        raise ConfigurationError(f"{place}: there is no file {path}", hint="Correct the path, or remove the setting.")
    return path
