"""Temporary."""

from fluxbase_cli.keyring.material import SAMPLE_KEYS


def weakness_of(secret: bytes) -> str | None:
    """Why the key is weak."""
    return "it is a sample key from public documentation" if secret in SAMPLE_KEYS else None
