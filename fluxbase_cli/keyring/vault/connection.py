"""HTTP requests to Vault: TLS, timeouts, retries, and the meaning of a failure.

No message contains the token or the text of a response. The errors of the library are replaced by our own, because
their texts quote headers and addresses.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit

import requests
import tenacity
import urllib3
from hvac.adapters import RawAdapter

from fluxbase_cli.config import Secret
from fluxbase_cli.errors import ConfigurationError

_TIMEOUT_S = (5.0, 30.0)  # to connect, and between two bytes of the response
_ATTEMPTS = 4
_RETRY_LIMIT_S = 20.0
_WAIT_MAX_S = 3.0
_BACKOFF = tenacity.wait_exponential(multiplier=0.1, max=_WAIT_MAX_S, exp_base=3) + tenacity.wait_random(0, 0.1)

_OK = 200
_NO_CONTENT = 204
BAD_REQUEST = 400
FORBIDDEN = 403
NOT_FOUND = 404
_UNAVAILABLE = 503
_REDIRECTS = frozenset({301, 302, 307, 308})
#: Vault Enterprise answers 412 while a standby does not have the newest writes of the active node.
_TRANSIENT = frozenset({412, 429, 500, 502, _UNAVAILABLE, 504})


@dataclass(frozen=True, slots=True)
class Tls:
    """The TLS settings.

    Attributes:
        verify: whether the server's certificate is checked, or the file or folder of the trusted authorities.
        client: the files of the client certificate and its key.
    """

    verify: bool | str = True
    client: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Attributes:
        method: an HTTP method.
        path: the path after `/v1/`, not yet quoted.
        body: sent as JSON.
        query: sent in the URL.
    """

    method: str
    path: str
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    query: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """A response of Vault.

    Attributes:
        status: the HTTP status.
        body: the JSON object; empty if there is none.
    """

    status: int
    body: Mapping[str, Any] = field(repr=False)

    @property
    def is_ok(self) -> bool:
        """Whether the request succeeded."""
        return self.status in (_OK, _NO_CONTENT)

    @property
    def data(self) -> Mapping[str, Any]:
        """The member `data`; empty if there is none."""
        data = self.body.get("data")
        return data if isinstance(data, Mapping) else {}

    @property
    def error_text(self) -> str:
        """Vault's error text. The code may search it, but must never show it."""
        errors = self.body.get("errors")
        return " ".join(map(str, errors)).strip() if isinstance(errors, list) else ""

    @property
    def refuses_token(self) -> bool:
        """Whether Vault does not accept the token. A missing policy is another refusal."""
        # If a policy is missing, the text is a list ("1 error occurred: …"). Newer Vaults also use a list for a bad
        # token.
        error_text = self.error_text
        return self.status == FORBIDDEN and (
            error_text == "permission denied" or "invalid token" in error_text or "bad token" in error_text
        )


class _TransientError(ConfigurationError):
    """A failure that may end soon.

    Args:
        message: what is wrong.
        retry_after: the header `Retry-After` of the server.
        hint: what to do.
    """

    def __init__(self, message: str, *, retry_after: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.wait_s = float(retry_after) if retry_after and retry_after.isdigit() else 0.0


class Connection:
    """Sends requests to one server. It keeps no connection open, because a run sends only a few requests.

    Args:
        address: the URL of the server, checked by `check_address`.
        namespace: the namespace of all paths.
        tls: the TLS settings.
    """

    def __init__(self, address: str, *, namespace: str | None = None, tls: Tls | None = None) -> None:
        self.address = address
        self.namespace = namespace
        self._tls = tls or Tls()
        self._session = requests.Session()
        self._session.verify = self._tls.verify
        self._session.cert = self._tls.client
        self._session.headers["Connection"] = "close"
        # Without this, requests would look for a password in ~/.netrc and send it.
        self._session.auth = _unchanged

    @property
    def name(self) -> str:
        """The name of the server in messages."""
        return f"Vault at {self.address}"

    def ask(self, request: Request, token: Secret | None = None) -> Response:
        """Send a request. Send it again a few times if the server is too busy or the connection breaks.

        Args:
            request: the request.
            token: the token, if one is needed.

        Returns:
            The response, even if it is a refusal (4xx).

        Raises:
            ConfigurationError: the server can't be reached or trusted, is sealed, or fails.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TransientError),
            stop=tenacity.stop_after_attempt(_ATTEMPTS) | tenacity.stop_after_delay(_RETRY_LIMIT_S),
            wait=_wait_s,
            reraise=True,
        )
        return retrying(self._ask_once, request, token)

    def _ask_once(self, request: Request, token: Secret | None) -> Response:
        reply = self._send(self.address, request, token)
        if reply.status_code in _REDIRECTS:
            # A standby redirects to the active node. As in Vault's client: only once, and never from https to http.
            reply = self._send(self._redirected(reply), request, token)
        response = Response(reply.status_code, _json(reply))
        if response.status == _UNAVAILABLE and "sealed" in response.error_text.lower():
            raise ConfigurationError(
                f"{self.name} is sealed", hint="Unseal it (`vault operator unseal`), then try again."
            )
        if response.status in _TRANSIENT:
            why = "is too busy" if response.status == 429 else "fails"  # noqa: PLR2004  # Too Many Requests
            raise _TransientError(
                f"{self.name} {why} (HTTP {response.status})",
                retry_after=reply.headers.get("Retry-After"),
                hint="Read the server's log, and try again.",
            )
        if response.status == BAD_REQUEST and "HTTP request to an HTTPS server" in reply.text:
            raise ConfigurationError(f"{self.name} requires TLS", hint="Write https:// in its address.")
        if response.status != _NO_CONTENT and not response.body:
            raise ConfigurationError(
                f"{self.address} does not answer like Vault (HTTP {response.status})",
                hint="Check VAULT_ADDR or security.encryption.vault.address.",
            )
        return response

    def _send(self, address: str, request: Request, token: Secret | None) -> requests.Response:
        adapter = RawAdapter(
            base_uri=address,
            token=None if token is None else token.reveal(),
            namespace=self.namespace,
            session=self._session,
            verify=self._tls.verify,
            cert=self._tls.client,
            timeout=_TIMEOUT_S,
            allow_redirects=False,
            ignore_exceptions=True,
        )
        with self._translated_failures(), warnings.catch_warnings():
            # `make_client` has already warned about this.
            warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
            reply: requests.Response = adapter.request(
                request.method, f"/v1/{quote(request.path)}", json=request.body, params=request.query
            )
        return reply

    @contextmanager
    def _translated_failures(self) -> Iterator[None]:
        try:
            yield
        except requests.exceptions.SSLError as error:
            reason, hint = _tls_reason(error)
            raise ConfigurationError(f"{self.name} can't be trusted: {reason}", hint=hint) from None
        except requests.exceptions.Timeout:
            raise ConfigurationError(f"{self.name} does not answer in time", hint=_REACH_HINT) from None
        except requests.exceptions.ProxyError:
            raise ConfigurationError(
                f"{self.name} can't be reached through the proxy", hint="Check HTTPS_PROXY and NO_PROXY."
            ) from None
        except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError):
            raise _TransientError(f"{self.name} can't be reached", hint=_REACH_HINT) from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ValueError, OSError):
            raise ConfigurationError(f"the request to {self.name} failed", hint=_REACH_HINT) from None

    def _redirected(self, reply: requests.Response) -> str:
        try:
            target = urlsplit(reply.headers.get("Location", ""))
            is_safe = target.scheme == "https" or (target.scheme == "http" and self.address.startswith("http:"))
            if is_safe and target.hostname and target.username is None and "/v1/" in target.path:
                return f"{target.scheme}://{target.netloc}{target.path.partition('/v1/')[0]}"
        except ValueError:
            pass
        raise ConfigurationError(
            f"{self.name} redirects to an address that is invalid or without TLS",
            hint="Name the active node in VAULT_ADDR.",
        )


_REACH_HINT = "Check VAULT_ADDR or security.encryption.vault.address, and the network."


def check_address(text: str, place: str) -> str:
    """The address without slashes at its end.

    Raises:
        ConfigurationError: it can't be used. The message does not show it, because it may contain a password.
    """
    try:
        parts = urlsplit(text.strip())
        usable = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and parts.username is None
            and not (parts.query or parts.fragment)
            and text.isprintable()
        )
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(f"{place} is not an address of Vault", hint="Write only https://host:8200.")
    return text.strip().rstrip("/")


def is_open_to_listeners(address: str) -> bool:
    """Whether requests to this address cross a network without TLS."""
    parts = urlsplit(address)
    if parts.scheme == "https":
        return False
    try:
        return not ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname != "localhost"


def _wait_s(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    wanted = error.wait_s if isinstance(error, _TransientError) else 0.0
    return max(_BACKOFF(state), min(wanted, _WAIT_MAX_S))


def _json(reply: requests.Response) -> Mapping[str, Any]:
    try:
        body = reply.json()
    except ValueError:
        return {}
    return body if isinstance(body, Mapping) else {}


_AUTHORITY = "VAULT_CACERT, or security.encryption.vault.ca_cert"
#: X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL.
_OTHER_NAME = frozenset({62, 64})


def _tls_reason(error: BaseException) -> tuple[str, str]:
    """What OpenSSL says (its texts are constant, so they can be shown), and what to do. For any error of TLS."""
    pending: list[object] = [error]
    seen: set[int] = set()
    while pending:
        found = pending.pop()
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, ssl.SSLCertVerificationError):
            hint = f"Name the authority that signed its certificate: {_AUTHORITY}."
            if found.verify_code in _OTHER_NAME:
                hint = "Write the name that is in its certificate in VAULT_ADDR or security.encryption.vault.address."
            return f"its certificate is not valid ({found.verify_message})", hint
        if isinstance(found, ssl.SSLError) and found.reason == "WRONG_VERSION_NUMBER":
            return "it does not use TLS", "Write http:// in its address, if nobody else is on that network."
        if isinstance(found, ssl.SSLError) and found.reason == "NO_CERTIFICATE_OR_CRL_FOUND":
            return "there is no certificate in the file of the authority", f"Name a PEM file: {_AUTHORITY}."
        pending += [*found.args, getattr(found, "reason", None), found.__cause__, found.__context__]
    return "no TLS connection can be made", f"Check its address, and the certificate of its authority: {_AUTHORITY}."


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
