"""The named statements of `store/sql/*.sql`, so that SQL can be read, linted and explained as SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def read_sql(name: str) -> bytes:
    """The text of one file of `store/sql`."""
    return files("fluxbase_cli.store").joinpath("sql", name).read_bytes()


@cache
def named_queries(name: str) -> Mapping[str, bytes]:
    """The statements of one file by their names."""
    parts = _NAME.split(read_sql(name).decode())
    # parts[0] is what stands before the first name; then name and statement take turns.
    return {title: text.strip().rstrip(";").encode() for title, text in zip(parts[1::2], parts[2::2], strict=True)}
