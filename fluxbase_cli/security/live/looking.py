"""Looks at the live server: eight requests without credentials, one after the other."""

from __future__ import annotations

import secrets
import ssl
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from fluxbase_cli.config.url import is_web_address
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.security.live.answers import (
    ADMIN_PAGE,
    CONFIG,
    PROTECTED,
    SETUP_STATUS,
    Answer,
    LiveFacts,
    NoAnswer,
)
from fluxbase_cli.security.live.client import REQUEST_S, send
from fluxbase_cli.security.part import Absent

_STANDARD_PORTS = {"https": 443, "http": 80}


def look_at(
    url: str, *, authorities: Path | None = None, timeout_s: float = REQUEST_S, http_port: int = 80
) -> LiveFacts | Absent:
    """Ask the server. If it does not answer the first request, no others are sent.

    Args:
        url: its address for users.
        authorities: a file with certificates of authorities to trust in place of the system's.
        timeout_s: the time for each request.
        http_port: the port on which an https server is asked without TLS.

    Raises:
        ConfigurationError: it is no address of a web server, or the authorities can't be read.
    """
    parts = _checked(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    base = origin + parts.path.rstrip("/")
    host = parts.hostname or ""
    is_https = parts.scheme == "https"
    # To read all authorities takes longer than a request, so it is done once. A file that can't be used is always told.
    context = _context(authorities) if is_https or authorities is not None else None
    first, tls = send(base + CONFIG, context=context, timeout_s=timeout_s)
    plain: Answer | NoAnswer | None = None
    if (is_https and (parts.port or 443) == _STANDARD_PORTS["https"]) or http_port != _STANDARD_PORTS["http"]:
        name = f"[{host}]" if ":" in host else host
        plain, _ = send(f"http://{name}:{http_port}/", follow=False, timeout_s=timeout_s)
    if isinstance(first, NoAnswer):
        if first.certificate:
            return LiveFacts(origin, host, is_https, tls, {CONFIG: first}, plain)
        return Absent(f"{origin} can't be looked at: {first.reason}", failed=True)
    answers: dict[str, Answer | NoAnswer] = {CONFIG: first}
    for path in (SETUP_STATUS, ADMIN_PAGE, *PROTECTED):
        answers[path], _ = send(base + path, context=context, timeout_s=timeout_s)
        # A server that has stopped answering is not asked again and again.
        if isinstance(answers[path], NoAnswer):
            break
    asked = f"https://{secrets.token_hex(8)}.invalid"
    preflight, _ = send(
        base + CONFIG,
        method="OPTIONS",
        headers={"Origin": asked, "Access-Control-Request-Method": "GET"},
        context=context,
        follow=False,
        timeout_s=timeout_s,
    )
    return LiveFacts(origin, host, is_https, tls, answers, plain, preflight, asked)


def _context(file: Path | None) -> ssl.SSLContext:
    """What is trusted: the authorities of a file, or those of the system."""
    try:
        return ssl.create_default_context(cafile=None if file is None else str(file))
    except ssl.SSLError:
        raise ConfigurationError(
            f"--ca {file} holds no certificate", hint="Name a PEM file (`-----BEGIN CERTIFICATE-----`)."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"--ca {file} can't be read: {error.strerror or type(error).__name__}",
            hint="Name a PEM file that this user may read.",
        ) from None


def _checked(url: str) -> SplitResult:
    if not is_web_address(url):
        raise ConfigurationError(
            "--url is not a URL that begins with http:// or https://", hint="Write it as in https://api.example.com."
        )
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("--url has a user or a password in it", hint="Leave it out: no request needs one.")
    return parts
