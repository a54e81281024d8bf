"""Asks the server whether it is up."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable

_ATTEMPT_S = 5.0
_POLL_S = 0.1
_OK = 200


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer, and not the answer of a healthy server."""

    def redirect_request(self, *_args: object, **_keywords: object) -> None:
        """Follow no redirect."""


def problem_of(url: str, *, timeout_s: float = _ATTEMPT_S) -> str | None:
    """Ask once.

    Args:
        url: the address, such as `http://localhost:8080/health`.
        timeout_s: how long the answer may take, in seconds.

    Returns:
        None if the server answers with status 200, else what is wrong.
    """
    # Our proxies are for the internet, not for our own server.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
    try:
        with opener.open(url, timeout=timeout_s) as answer:
            status = int(answer.status)
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    except urllib.error.URLError as error:
        return f"no answer ({error.reason})"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"no answer ({type(error).__name__})"
    return None if status == _OK else f"it answers with status {status}"


def wait_until_healthy(url: str, timeout_s: float, is_stopped: Callable[[], bool] = lambda: False) -> str | None:
    """Ask until the server is healthy.

    Args:
        url: the address.
        timeout_s: how long to ask, in seconds.
        is_stopped: whether to give up early.

    Returns:
        None if it is healthy, else what was wrong at last.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        left = deadline - time.monotonic()
        problem = problem_of(url, timeout_s=max(0.5, min(_ATTEMPT_S, left)))
        if problem is None or left <= 0 or is_stopped():
            return problem
        time.sleep(min(_POLL_S, max(left, 0)))
