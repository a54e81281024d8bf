"""Secrets that anybody can look up: samples of the server's repository and documentation.

Only their SHA-256 is here.
"""

from __future__ import annotations

import hashlib

#: SHA-256 of published JWT secrets.
JWT_SECRETS = frozenset(
    {
        "0c8a3bf1c8358eab18586223cd3107596d53d1be8831dbd1c1b8021e10335a5c",
        "420c85227273be6c122b6ffc144323f72da04cfde1f89c8dd52590289ad5f4b2",
        "f4e90dd08e5baa489625322727c04481197faad85e6eabce42778014969bfc99",
        "a0426d7e8dd7628f2af92ef5f2f3dd3f308f96c157e0f2f04df2d4179863cdde",
        "0d356ede0ba49981912e357d2b5ef4a870a721fd186a5b0881e7425f08b68e13",
    }
)


def is_published(secret: str, published: frozenset[str]) -> bool:
    """Whether a secret is one of these.

    Args:
        secret: the secret.
        published: SHA-256 of published secrets, in hexadecimal.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest() in published
