"""What `config check` says about the server: which keys it knows, and whether a cutover could begin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from fluxbase_cli.catalogue.releases import Release
from fluxbase_cli.config import EncryptionSettings, Settings
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.keys.target_rules import unusable_warning
from fluxbase_cli.printable import lines
from fluxbase_cli.server.check import examine_env_file, examine_server, settings_to_add
from fluxbase_cli.server.control import ServerControl
from fluxbase_cli.server.one_key import CHECK, disagreement
from fluxbase_cli.store.findings import CheckStatus, Finding


def examine_server_settings(
    settings: Settings, environ: Mapping[str, str], keyring: Keyring, release: Release | None
) -> Iterator[Finding]:
    """Check the settings of the server.

    Args:
        settings: the configuration.
        environ: the environment, for commands.
        keyring: the keys.
        release: the release of the database; None if it is not known.
    """
    encryption, server_key = settings.encryption, keyring.server_key
    if not encryption.is_single:
        yield from _disagreement(encryption, keyring, release)
        return
    yield from _key_of_server(keyring)
    if not encryption.server.is_configured:
        yield from examine_env_file(encryption.server, server_key)
        yield Finding(
            CHECK,
            CheckStatus.TELL,
            "the server knows one key; `rotation run` can't change it, because nothing says how the server is stopped, "
            "given a key and started",
            lines(
                (
                    (
                        "By hand: docs/operators/rotate-today.md. "
                        "For `rotation run`, add to fluxbase.yaml, with your own commands:"
                    ),
                    "",
                    settings_to_add(),
                )
            ),
        )
        return
    for finding in examine_server(ServerControl(encryption.server, settings.database, environ), server_key):
        # The operator may have stopped the server, to rotate by hand.
        is_down = finding.status is CheckStatus.REFUSE and finding.message.startswith("health_url: ")
        yield replace(finding, status=CheckStatus.TELL) if is_down else finding


def _key_of_server(keyring: Keyring) -> Iterator[Finding]:
    version = keyring.server_version
    if version is None:
        yield Finding(
            CHECK,
            CheckStatus.TELL,
            "the server knows one key, and the configuration does not say which: encryption_key is not set",
            "Set FLUXBASE_ENCRYPTION_KEY to the key that the server has.",
        )
        return
    newer = "" if version == keyring.newest else f"; version {keyring.newest} is not installed in it"
    yield Finding(CHECK, CheckStatus.GOOD, f"the server has key version {version}, by the configuration{newer}")
    for key in keyring.keys:
        warning = None if key.version <= version else unusable_warning(key)
        if warning is not None:
            yield Finding(CHECK, CheckStatus.TELL, warning, "`fluxbase-cli keys generate` makes one that it takes.")


def _disagreement(encryption: EncryptionSettings, keyring: Keyring, release: Release | None) -> Iterator[Finding]:
    finding = disagreement(encryption, release)
    if finding is None:
        return
    yield finding
    warning = unusable_warning(keyring.key(keyring.newest))
    if warning is not None:
        yield Finding(CHECK, CheckStatus.TELL, warning, "`keys generate --encoding raw` makes one that it takes.")
