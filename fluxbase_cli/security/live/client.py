"""Sends single requests, each within a fixed time and with a fixed part of the answer.

A server may be slow in every part of an answer, even in the middle of a header. So each request runs in a thread that
is left alone after its time; its socket is closed. Redirects are followed on the same host only, a few times.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import SplitResult, urljoin, urlsplit

from fluxbase_cli import __version__
from fluxbase_cli.printable import printable
from fluxbase_cli.security.live.answers import Answer, NoAnswer, Tls

#: A whole request, with its redirects.
REQUEST_S = 10.0
_READ_S = 5.0
_MOST_BYTES = 64 * 1024
_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {
    "User-Agent": f"fluxbase-cli/{__version__} (security check)",
    "Accept": "application/json, text/html",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


@dataclass(slots=True)
class _Exchange:
    """A request that runs in a thread.

    Attributes:
        result: its end; None as long as it runs.
        tls: the TLS that was used.
        connection: the open connection, to close it from outside.
    """

    result: Answer | NoAnswer | None = None
    tls: Tls | None = None
    connection: http.client.HTTPConnection | None = None
    given_up: bool = False


def send(  # noqa: PLR0913  # what a request is made of
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
    follow: bool = True,
    timeout_s: float = REQUEST_S,
) -> tuple[Answer | NoAnswer, Tls | None]:
    """Send a request without credentials. TLS is verified.

    Args:
        url: where.
        method: GET or OPTIONS.
        headers: more headers.
        context: the authorities to trust, for https.
        follow: whether redirects on the same host are followed.
        timeout_s: the time for everything.
    """
    exchange = _Exchange()

    def run() -> None:
        exchange.result = _exchange(exchange, urlsplit(url), method, dict(headers or {}), context, follow=follow)

    thread = threading.Thread(target=run, name="security-check", daemon=True)
    thread.start()
    thread.join(timeout_s)
    exchange.given_up = True
    if exchange.result is None:
        _close(exchange)
        return NoAnswer(f"no answer within {timeout_s:g} s"), exchange.tls
    return exchange.result, exchange.tls


def _exchange(  # noqa: PLR0913  # what a request is made of
    exchange: _Exchange,
    url: SplitResult,
    method: str,
    headers: dict[str, str],
    context: ssl.SSLContext | None,
    *,
    follow: bool,
) -> Answer | NoAnswer:
    seen = {url.geturl()}
    for _ in range(_MOST_REDIRECTS + 1):
        answer = _once(exchange, url, method, headers, context)
        if not isinstance(answer, Answer) or answer.status not in _REDIRECTS or not follow or exchange.given_up:
            return answer
        target = _target(url, answer.header("location"))
        if target is None or (target.scheme, target.netloc) != (url.scheme, url.netloc):
            return answer
        if target.geturl() in seen:
            return NoAnswer("it redirects in a circle")
        seen.add(target.geturl())
        url = target
    return NoAnswer(f"it redirects more than {_MOST_REDIRECTS} times")


def _target(url: SplitResult, location: str | None) -> SplitResult | None:
    try:
        return None if location is None else urlsplit(urljoin(url.geturl(), location))
    except ValueError:
        return None


def _once(
    exchange: _Exchange, url: SplitResult, method: str, headers: dict[str, str], context: ssl.SSLContext | None
) -> Answer | NoAnswer:
    try:
        connection = _connection(url, context)
        exchange.connection = connection
        connection.connect()
        if isinstance(connection.sock, ssl.SSLSocket):
            exchange.tls = _tls(connection.sock)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request(method, path, headers=_HEADERS | headers)
        response = connection.getresponse()
        body = response.read(_MOST_BYTES + 1)
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, body[:_MOST_BYTES], whole=len(body) <= _MOST_BYTES)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return _failure(error)
    finally:
        _close(exchange)


def _failure(error: Exception) -> NoAnswer:
    if isinstance(error, ssl.SSLCertVerificationError):
        return NoAnswer(f"its certificate is not valid: {printable(error.verify_message)}", certificate=True)
    if isinstance(error, ssl.SSLError):
        return NoAnswer(f"the TLS handshake failed: {printable(error.reason or 'no reason')}", certificate=True)
    if isinstance(error, ConnectionRefusedError):
        return NoAnswer("the connection was refused")
    texts = (
        (TimeoutError, f"no answer within {_READ_S:g} s"),
        (socket.gaierror, "the host is not known"),
        (http.client.HTTPException, f"the answer is not HTTP ({type(error).__name__})"),
    )
    known = (text for kind, text in texts if isinstance(error, kind))
    return NoAnswer(next(known, f"the connection failed ({type(error).__name__})"))


def _connection(url: SplitResult, context: ssl.SSLContext | None) -> http.client.HTTPConnection:
    host = url.hostname or ""
    if url.scheme == "https":
        return http.client.HTTPSConnection(host, url.port, timeout=_READ_S, context=context)
    return http.client.HTTPConnection(host, url.port, timeout=_READ_S)


def _tls(sock: ssl.SSLSocket) -> Tls:
    certificate = sock.getpeercert() or {}
    end = certificate.get("notAfter")
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(end), UTC) if isinstance(end, str) else None
    return Tls(expires, sock.version() or "unknown")


def _close(exchange: _Exchange) -> None:
    connection = exchange.connection
    if connection is None:
        return
    with suppress(OSError):
        if connection.sock is not None:
            # Wakes the thread, which may be waiting for the next byte.
            connection.sock.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        connection.close()
