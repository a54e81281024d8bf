"""The server's defaults."""

from __future__ import annotations

from collections.abc import Mapping

#: By path, as text. A setting that is not here has no default.
DEFAULTS: Mapping[str, str] = {
    "auth.jwt_secret": "your-secret-key-change-in-production",  # public, in the server's source
}
