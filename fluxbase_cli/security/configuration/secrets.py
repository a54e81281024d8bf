"""Which settings are secrets, and which texts look like a sample."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"(^|[._])(jwt_secret|encryption_key|setup_token|password|client_secret|secret_key|access_key|api_key|"
    r"sp_private_key|test_bypass_token|service_key|secret)$"
)
#: A sample, or what somebody types until the right value is found.
_SAMPLE = re.compile(
    r"change.?me|change.?in.?production|^your[-_ ]|[-_ ]your[-_ ]|example|sample|placeholder|^(test|dev|demo|dummy)[-_]"
    r"|^(secret|password|passw0rd|admin|fluxbase|postgres)\d*$|insert.*here|replace.*me|xxxx|\.\.\.$|^<.*>$",
    re.IGNORECASE,
)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"
_RUN = 10
_REFERENCE = re.compile(r"\$\{[^}]*\}|\{\{.*\}\}")


def is_secret_path(path: str) -> bool:
    """Whether a setting is a secret, by its path."""
    return _SECRET.search(path) is not None


def is_reference(text: str) -> bool:
    """Whether a text is a `${NAME}` or a `{{ … }}` that nobody has replaced."""
    return _REFERENCE.search(text) is not None


def sample_reason(text: str) -> str | None:
    """Why a secret looks like no secret, as a phrase. None if it looks random.

    Args:
        text: the secret. The phrase holds nothing of it.
    """
    if is_reference(text):
        return "it is a reference that nobody has replaced"
    if len(set(text)) <= 1:
        return "it is one character repeated"
    if _SAMPLE.search(text):
        return "it looks like a sample"
    lower = text.lower()
    for row in (_ALPHABET * 2, _DIGITS * 5):
        if any(row[start : start + _RUN] in lower for start in range(len(row) - _RUN)):
            return "it counts up"
    return None
