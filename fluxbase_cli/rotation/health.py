"""The health of the daemon: what `/healthz` answers, and how `rotation health` asks for it.

A failed run is no reason to restart the daemon: it tries again automatically. A daemon that does not wake up in time
must be restarted.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fluxbase_cli.errors import JobFailedError
from fluxbase_cli.rotation.schedule import moment_json

#: No wait of the daemon is longer than half a minute. So after this time it does not wait: it hangs.
_LATE = timedelta(minutes=5)
_OK = 200
_STALLED = 503
#: `/healthz` answers with a few hundred bytes.
_MOST_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the daemon.

    Attributes:
        state: `starting`, `rotating` or `sleeping`.
        next_look: when it looks again.
        next_rotation: when the next rotation is due.
        error: why the last run failed, if it did.
    """

    state: str = "starting"
    next_look: datetime | None = None
    next_rotation: datetime | None = None
    error: str | None = None

    def answer(self, now: datetime) -> tuple[int, bytes]:
        """The HTTP status and the JSON that `/healthz` answers with.

        Args:
            now: the time by the clock that `next_look` is of.
        """
        # A rotation may take as long as it needs. It ends by its own limits of patience.
        stalled = self.state == "sleeping" and self.next_look is not None and now - self.next_look > _LATE
        status = "stalled" if stalled else "ok" if self.error is None else "failing"
        text = json.dumps(
            {
                "status": status,
                "state": self.state,
                "next_look": moment_json(self.next_look),
                "next_rotation": moment_json(self.next_rotation),
                "error": self.error,
            }
        )
        return (_STALLED if stalled else _OK), text.encode()


def ask_daemon(address: tuple[str, int], *, timeout_s: float = 5.0) -> Mapping[str, Any]:
    """Ask the daemon on this machine for its health.

    Args:
        address: host and port where it listens.
        timeout_s: how long the answer may take, in seconds.

    Returns:
        The JSON of `/healthz`.

    Raises:
        JobFailedError: it does not answer, or something else answers there.
    """
    host, port = address
    place = f"{f'[{host}]' if ':' in host else host}:{port}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{place}/healthz", timeout=timeout_s) as reply:
            body = reply.read(_MOST_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            body = error.read(_MOST_BYTES) if error.code == _STALLED else b""
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise JobFailedError(f"the daemon at {place} does not answer: {reason}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise JobFailedError(f"the daemon at {place} does not answer: {reason}") from None
    try:
        health = json.loads(body)
    except ValueError:
        health = None
    if not isinstance(health, dict) or not {"status", "state", "next_look", "error"} <= set(health):
        raise JobFailedError(f"what listens at {place} is not `rotation daemon`")
    return health
