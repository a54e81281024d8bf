"""The forms in which a new key is written.

They are in a separate module so that the command line can list them without loading cryptography.
"""

from __future__ import annotations

from enum import StrEnum


class Encoding(StrEnum):
    """The form in which a new key is written."""

    HEX = "hex"
    BASE64 = "base64"
    RAW = "raw"
