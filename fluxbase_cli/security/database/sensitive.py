"""Tells by the name of a column whether it holds what nobody else may see."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SECRET = re.compile(
    r"(^|_)(password|passwd|secrets?|tokens?|api_?key|private_?key|key_hash|code_hash|backup_codes|otp|ssn|iban"
    r"|card_?number|cvv|salary|diagnosis)(_|$)",
    re.IGNORECASE,
)
_PERSONAL = re.compile(
    r"(^|_)(e?mail|phone|mobile|address|birth_?(day|date)|date_of_birth|dob|passport|tax_?id|national_?id)(_|$)",
    re.IGNORECASE,
)


def secret_column(columns: Iterable[str]) -> str | None:
    """The first column with the name of a secret."""
    return next((each for each in columns if _SECRET.search(each)), None)


def private_column(columns: Iterable[str]) -> str | None:
    """The first column with the name of a secret or of what identifies a person."""
    names = tuple(columns)
    return secret_column(names) or next((each for each in names if _PERSONAL.search(each)), None)
