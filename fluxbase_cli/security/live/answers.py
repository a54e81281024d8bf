"""The answers of the live server as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a request.

    Attributes:
        status: the status code.
        headers: the headers, with names in lower case.
        body: the beginning of the body.
        whole: whether that is the whole body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    whole: bool = True

    def header(self, name: str) -> str | None:
        """A header, by its name in lower case. None if it is missing."""
        return self.headers.get(name)

    @property
    def is_html(self) -> bool:
        """Whether it is a page."""
        return "html" in self.headers.get("content-type", "")

    @property
    def data(self) -> Any:  # noqa: ANN401  # any JSON
        """The body as JSON. None if it is not JSON, or too long."""
        try:
            return json.loads(self.body) if self.whole else None
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A request without an answer.

    Attributes:
        reason: why, a phrase.
        certificate: whether the certificate or the TLS of the server is the reason.
    """

    reason: str
    certificate: bool = False


@dataclass(frozen=True, slots=True)
class Tls:
    """The TLS of the server.

    Attributes:
        expires: when its certificate ends.
        version: the protocol, such as `TLSv1.3`.
    """

    expires: datetime | None
    version: str


@dataclass(frozen=True, slots=True)
class AllowedOrigin:
    """The server allows an origin that nobody has listed.

    Attributes:
        reflected: whether it names that origin; otherwise it says `*`.
        credentials: whether it allows credentials.
    """

    reflected: bool
    credentials: bool


@dataclass(frozen=True, slots=True)
class LiveFacts:
    """What the live server answered without authentication.

    Attributes:
        origin: its address: scheme, host and port.
        host: its host.
        is_https: whether the address is https.
        tls: its TLS; None for http, or if the handshake failed.
        answers: the answers by path.
        plain_http: the answer on http, for an https address; None if it was not asked.
        preflight: the answer to a preflight request of an origin that nobody has listed.
        asked_origin: that origin.
    """

    origin: str
    host: str
    is_https: bool
    tls: Tls | None
    answers: Mapping[str, Answer | NoAnswer]
    plain_http: Answer | NoAnswer | None = None
    preflight: Answer | NoAnswer | None = None
    asked_origin: str = ""

    def answer(self, path: str) -> Answer | None:
        """The answer for a path. None if there was none."""
        found = self.answers.get(path)
        return found if isinstance(found, Answer) else None

    @property
    def config(self) -> Answer | None:
        """The answer of the server's public configuration, if it is one of a Fluxbase server."""
        found = self.answer(CONFIG)
        return found if found is not None and found.status == 200 and isinstance(found.data, dict) else None  # noqa: PLR2004

    @property
    def needs_setup(self) -> bool | None:
        """Whether the server says that it has no administrator yet. None if it does not say."""
        found = self.answer(SETUP_STATUS)
        data = None if found is None else found.data
        needs = data.get("needs_setup") if isinstance(data, dict) else None
        return needs if isinstance(needs, bool) else None

    @property
    def allowed_origin(self) -> AllowedOrigin | None:
        """How the server allows an origin that nobody has listed. None if it does not, or did not answer."""
        if not isinstance(self.preflight, Answer):
            return None
        allowed = self.preflight.header("access-control-allow-origin")
        if allowed not in ("*", self.asked_origin):
            return None
        credentials = self.preflight.header("access-control-allow-credentials") == "true"
        return AllowedOrigin(allowed == self.asked_origin, credentials)


CONFIG = "/api/v1/auth/config"
SETUP_STATUS = "/api/v1/admin/setup/status"
ADMIN_PAGE = "/admin/"
#: What must refuse a request without authentication.
PROTECTED = ("/api/v1/admin/users", "/api/v1/monitoring/metrics", "/api/v1/tables/")
