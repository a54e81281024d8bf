"""The receiver of notifications: its URL, its key and its format."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from fluxbase_cli.config import Secret

SECRET_PREFIX = "whsec_"  # noqa: S105  # of Standard Webhooks; no secret itself


class Format(StrEnum):
    """The form of a notification's body."""

    JSON = "json"
    SLACK = "slack"


@dataclass(frozen=True, slots=True)
class Webhook:
    """The receiver of notifications.

    Attributes:
        url: http or https. It is secret, because such URLs hold tokens.
        key: the key that signs the notifications; None means that they are not signed.
        form: the form of the body.
    """

    url: Secret
    key: Secret | None = None
    form: Format = Format.JSON

    @property
    def host(self) -> str:
        """The part of the URL that may be shown."""
        return urlsplit(self.url.reveal()).hostname or "?"

    @property
    def signing_key(self) -> bytes | None:
        """The bytes of the key. After the prefix `whsec_`, the key is base64; otherwise it is used as it is."""
        if self.key is None:
            return None
        text = self.key.reveal()
        if not text.startswith(SECRET_PREFIX):
            return text.encode("utf-8", "surrogateescape")
        encoded = text.removeprefix(SECRET_PREFIX)
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
