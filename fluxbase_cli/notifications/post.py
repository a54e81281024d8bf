"""One attempt to deliver a notification over HTTP."""

from __future__ import annotations

import ssl
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from fluxbase_cli.notifications.message import Notification, headers
from fluxbase_cli.notifications.recipient import Webhook

TIMEOUT_S = 10.0
_TRY_AGAIN = frozenset({408, 425, 429})
_REDIRECT = 300
_CLIENT_ERROR = 400
_SERVER_ERROR = 500


class DeliveryError(Exception):
    """A notification was not accepted. The message names the host and the reason, and nothing else of the URL.

    Args:
        message: what happened.
        temporary: whether another attempt may help.
    """

    def __init__(self, message: str, *, temporary: bool) -> None:
        super().__init__(message)
        self.temporary = temporary


class _SystemTrust(HTTPAdapter):
    """Trusts only the certificate authorities of the system, or those of `SSL_CERT_FILE`."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  # as in HTTPAdapter
        super().init_poolmanager(*arguments, **options, ssl_context=ssl.create_default_context())

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401  # as in HTTPAdapter
        return super().proxy_manager_for(proxy, **options, ssl_context=ssl.create_default_context())

    def cert_verify(self, *_arguments: Any) -> None:  # noqa: ANN401  # as in HTTPAdapter
        """Do nothing: the SSL context verifies the certificate and the name of the host."""


def post(webhook: Webhook, notification: Notification, *, timeout_s: float = TIMEOUT_S) -> None:
    """Send a notification once. Proxies and `SSL_CERT_FILE` come from the environment. Certificates are always checked.

    Raises:
        DeliveryError: it was not accepted.
    """
    body = notification.body(webhook.form)
    url = webhook.url.reveal()
    with requests.Session() as session:
        # Only the proxies of the environment are used. A password in ~/.netrc and REQUESTS_CA_BUNDLE are ignored.
        session.trust_env = False
        session.proxies = requests.utils.get_environ_proxies(url)
        if url.lower().startswith("https"):
            # Only for https: reading all authorities takes longer than the rest of the request.
            session.mount(url, _SystemTrust())
        try:
            # No redirects: they could send the notification to a host that nobody has configured.
            with session.post(
                url,
                data=body,
                headers=headers(notification, body, webhook, int(time.time())),
                timeout=timeout_s,
                allow_redirects=False,
                stream=True,
            ) as response:
                status = response.status_code
        except (requests.exceptions.RequestException, OSError, ValueError) as error:
            raise DeliveryError(f"{webhook.host}: {_reason(error)}", temporary=_is_temporary(error)) from None
    if status >= _REDIRECT:
        temporary = status in _TRY_AGAIN or status >= _SERVER_ERROR
        raise DeliveryError(f"{webhook.host} answered {status}", temporary=temporary)


def _causes(error: BaseException) -> list[BaseException]:
    """The error and all its causes. `requests` wraps the errors of the system several times."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop(0)
        if each is None or each in found:
            continue
        found.append(each)
        inner = [each.__cause__, each.__context__, getattr(each, "reason", None), *getattr(each, "args", ())]
        waiting.extend(value for value in inner if isinstance(value, BaseException))
    return found


def _reason(error: BaseException) -> str:
    """The part of an error that may be shown: the system's text or its type, and never the URL that it quotes."""
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate can't be trusted ({cause.verify_message})"
    if any(isinstance(cause, TimeoutError | requests.exceptions.Timeout) for cause in causes):
        return "no answer in time"
    for cause in causes:
        if (
            isinstance(cause, OSError)
            and not isinstance(cause, requests.exceptions.RequestException)
            and cause.strerror
        ):
            return str(cause.strerror)
    return type(causes[-1]).__name__


def _is_temporary(error: BaseException) -> bool:
    refused = (ssl.SSLCertVerificationError, requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader)
    return not any(isinstance(cause, refused) for cause in _causes(error))
