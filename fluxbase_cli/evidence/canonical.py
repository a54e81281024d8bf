"""One form of a JSON value as bytes, so that its digest is always the same, and a strict reader.

Keys are sorted, there are no blanks, and everything but ASCII is escaped. Two readers can't see different things in it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


class NotStrictJsonError(ValueError):
    """A text is no JSON, or readers could see different things in it. The message says what is wrong with it."""


def canonical(value: Any) -> bytes:  # noqa: ANN401  # JSON
    """The value as bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def digest(value: Any) -> str:  # noqa: ANN401  # JSON
    """The SHA-256 of the value's canonical bytes, in hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def read_strictly(content: bytes) -> Any:  # noqa: ANN401  # JSON
    """Read JSON in UTF-8, in which no name occurs twice in an object, and which ends with its value.

    Raises:
        NotStrictJsonError: it is something else.
    """
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse_constant)
    except NotStrictJsonError:
        raise
    except RecursionError:
        raise NotStrictJsonError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise NotStrictJsonError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        what = "something follows after its end" if error.msg == "Extra data" else "it is not JSON"
        raise NotStrictJsonError(f"{what} (line {error.lineno}, column {error.colno})") from None
    except ValueError:
        # A number with thousands of digits.
        raise NotStrictJsonError("it has a number that can't be read") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotStrictJsonError("a name occurs twice in one object")
    return found


def _refuse_constant(_text: str) -> Any:  # noqa: ANN401  # never returns
    raise NotStrictJsonError("it has a number that JSON does not have")
