"""Whether the server of a database knows one key only, by the configuration or by its release."""

from __future__ import annotations

from fluxbase_cli.catalogue.releases import Release
from fluxbase_cli.config import EncryptionSettings, ServerKeyring
from fluxbase_cli.store.findings import CheckStatus, Finding

CHECK = "server key"


def reads_one_key(encryption: EncryptionSettings, release: Release | None) -> bool:
    """Whether the server knows one key.

    Args:
        encryption: the configuration. An explicit `server.keyring` counts most.
        release: the release of the database; None if it is not known.
    """
    if encryption.server.keyring is ServerKeyring.VERSIONED:
        return False
    return encryption.is_single or (release is not None and release.knows_one_key)


def disagreement(encryption: EncryptionSettings, release: Release | None) -> Finding | None:
    """What to tell if the configuration has keys with versions and the server reads one key only. None if not."""
    if release is None or encryption.is_single or not reads_one_key(encryption, release):
        return None
    return Finding(
        CHECK,
        CheckStatus.TELL,
        f"THE SERVER OF THIS DATABASE (release {release.name}) KNOWS ONE KEY, FLUXBASE_ENCRYPTION_KEY. It does not "
        "read security.encryption.keys or active_key_version",
        "See docs/operators/rotate-today.md. If your server does read them, set security.encryption.server.keyring to "
        "versioned.",
    )
