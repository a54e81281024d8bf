"""Base64 of large values. Python's `binascii` takes 3 µs for a kilobyte: with that, most of the time of a reseal.

pybase64 uses SIMD instructions and takes a tenth of that. For short values its calls take longer than `binascii`.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from functools import cache, partial

#: From this length on, in bytes of base64, pybase64 is faster.
LARGE_TEXT_BYTES = 512


def decode_large(text: bytes) -> bytes:
    """Decode strictly, as `binascii.a2b_base64(text, strict_mode=True)` does.

    Raises:
        ValueError: the text is not base64.
    """
    return _fastest()[0](text)


def encode_large(data: bytes) -> bytes:
    """Encode as `binascii.b2a_base64(data, newline=False)` does."""
    return _fastest()[1](data)


@cache
def _fastest() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    """The functions that decode and encode."""
    try:
        # Most databases have no large values, and the import takes 2 ms.
        import pybase64  # noqa: PLC0415
    except ModuleNotFoundError:
        # An environment in which only this package was upgraded. It is slower, and nothing else.
        return partial(a2b_base64, strict_mode=True), partial(b2a_base64, newline=False)
    return partial(pybase64.b64decode, validate=True), pybase64.b64encode
