"""What `config check` says about the server: which keys it knows, and whether a cutover could begin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from fluxbase_cli.catalogue.releases import Release
from fluxbase_cli.config import ServerKeyring, Settings
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.keys.loader import open_keyring
from fluxbase_cli.keys.target_rules import unusable_warning
from fluxbase_cli.server.check import examine_env_file, examine_server, settings_to_add
from fluxbase_cli.server.control import ServerControl
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.preflight import CheckStatus, Finding, inspect

_CHECK = "server key"


def examine_server_settings(settings: Settings, environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """Check the settings of the server. What can't be known, because the database or a key can't be read, is left out.

    Args:
        settings: the configuration.
        environ: the environment, for providers and commands.
    """
    try:
        keyring = open_keyring(settings, environ, warn=_ignore)
    except FluxbaseCliError:
        # The check of the keys says what is wrong.
        return ()
    return tuple(_findings(settings, environ, keyring))


def _findings(settings: Settings, environ: Mapping[str, str], keyring: Keyring) -> Iterator[Finding]:
    encryption = settings.encryption
    if not encryption.is_single:
        yield from _disagreement(settings, keyring)
        return
    yield from _key_of_server(keyring)
    version = keyring.server_version
    server_key = None if version is None else keyring.key(version)
    if not encryption.server.is_configured:
        yield from examine_env_file(encryption.server, server_key)
        yield Finding(
            _CHECK,
            CheckStatus.TELL,
            "the server knows one key; `rotation run` can't change it, because nothing says how the server is stopped, "
            "given a key and started",
            "By hand: docs/operators/rotate-today.md. For `rotation run`, add to fluxbase.yaml, with your own commands:"
            f"\n\n{settings_to_add()}",
        )
        return
    control = ServerControl(encryption.server, settings.database, environ, tell=_ignore)
    for finding in examine_server(control, server_key):
        # The operator may have stopped the server, to rotate by hand.
        is_down = finding.status is CheckStatus.REFUSE and finding.message.startswith("health_url: ")
        yield replace(finding, status=CheckStatus.TELL) if is_down else finding


def _key_of_server(keyring: Keyring) -> Iterator[Finding]:
    version = keyring.server_version
    if version is None:
        yield Finding(
            _CHECK,
            CheckStatus.TELL,
            "the server knows one key, and the configuration does not say which: encryption_key is not set",
            "Set FLUXBASE_ENCRYPTION_KEY to the key that the server has.",
        )
        return
    newer = "" if version == keyring.newest else f"; version {keyring.newest} is not installed in it"
    yield Finding(_CHECK, CheckStatus.GOOD, f"the server has key version {version}, by the configuration{newer}")
    for key in keyring.keys:
        warning = None if key.version <= version else unusable_warning(key)
        if warning is not None:
            yield Finding(_CHECK, CheckStatus.TELL, warning, "`fluxbase-cli keys generate` makes one that it takes.")


def _disagreement(settings: Settings, keyring: Keyring) -> Iterator[Finding]:
    release = None if settings.encryption.server.keyring is ServerKeyring.VERSIONED else _release(settings)
    if release is None or not release.knows_one_key:
        return
    yield Finding(
        _CHECK,
        CheckStatus.TELL,
        f"THE SERVER OF THIS DATABASE (release {release.name}) KNOWS ONE KEY, FLUXBASE_ENCRYPTION_KEY. It does not "
        "read security.encryption.keys or active_key_version",
        "See docs/operators/rotate-today.md. If your server does read them, set security.encryption.server.keyring to "
        "versioned.",
    )
    warning = unusable_warning(keyring.key(keyring.newest))
    if warning is not None:
        yield Finding(_CHECK, CheckStatus.TELL, warning, "`keys generate --encoding raw` makes one that it takes.")


def _release(settings: Settings) -> Release | None:
    try:
        with session(settings.database) as connection:
            return inspect(connection, write=False).release
    except FluxbaseCliError:
        return None


def _ignore(_text: str) -> None:
    """Take a text and do nothing."""
