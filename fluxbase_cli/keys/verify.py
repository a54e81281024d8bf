"""Checks every key: it can be read, has the right length, differs from the others, and opens what it seals."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from fluxbase_cli.config import KeyEntry, Settings
from fluxbase_cli.errors import ExitCode, FluxbaseCliError
from fluxbase_cli.keyring import Key, KeyAbsentError, ServersKey, fetch_key, servers_key
from fluxbase_cli.keys.history import KeyHistory, read_history
from fluxbase_cli.keys.pins import other_keys
from fluxbase_cli.keys.sources import KeySources, find_key_sources
from fluxbase_cli.printable import joined
from fluxbase_cli.seal import KEY_BYTES, Sealer, SealError, decode, fingerprint


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of the check of one key.

    Attributes:
        version, provider, source: the key and its source.
        fingerprint: the fingerprint of the key; None if it can't be read.
        problem: what is wrong and what to do; None if nothing is wrong.
        gone: whether the key was destroyed, so that only its entry is left.
        to_come: whether it has an entry and no key yet.
        server: whether the server has this key, by the configuration.
    """

    version: int
    provider: str
    source: str
    fingerprint: str | None
    problem: str | None
    gone: bool = False
    to_come: bool = False
    server: bool = False


@dataclass(frozen=True, slots=True)
class Verification:
    """The results of all keys, by ascending version."""

    keys: tuple[Verified, ...]

    @property
    def exit_code(self) -> int:
        """2 if a key can't be used, as for every wrong configuration."""
        bad = not self.keys or any(key.problem is not None for key in self.keys)
        return ExitCode.USAGE if bad else ExitCode.DONE


def verify_keys(settings: Settings, environ: Mapping[str, str], *, warn: Callable[[str], None]) -> Verification:
    """Fetch and test every key. After a bad key, the other keys are still tested.

    Raises:
        DatabaseError: there may be wrapped keys, and the database can't be reached.
    """
    history = _history(settings)
    sources = find_key_sources(settings.encryption, history, environ, warn)
    server = servers_key(settings.encryption)
    found: dict[int, bytes] = {}
    results = []
    # The server's own entry comes last: if another version has the same key, it is that version.
    own = None if server is None else server.source
    for version in sorted(sources.entries, key=lambda each: (sources.entries[each].source == own, each)):
        result, secret = _verify(sources.entries[version], sources, history, found)
        results.append(result)
        if secret is not None:
            found[version] = secret
    if server is None:
        return Verification(tuple(results))
    return Verification(_with_server(results, found, server))


def _with_server(results: list[Verified], found: Mapping[int, bytes], server: ServersKey) -> tuple[Verified, ...]:
    """Mark the key that the server has. Leave out its own entry if another version has the same key."""
    sources = {each.version: each.source for each in results}
    version = server.version_among(tuple(Key(each, secret, source=sources[each]) for each, secret in found.items()))
    kept = (each for each in results if each.version == version or each.source != server.source)
    return tuple(
        sorted((replace(each, server=each.version == version) for each in kept), key=lambda each: each.version)
    )


def _history(settings: Settings) -> KeyHistory:
    try:
        return read_history(settings.database)
    except FluxbaseCliError:
        if settings.encryption.keeps_wrapped_keys:
            raise
        # Keys can be verified without the database. Then it is not known which keys were destroyed.
        return KeyHistory()


def _verify(
    entry: KeyEntry, sources: KeySources, history: KeyHistory, others: Mapping[int, bytes]
) -> tuple[Verified, bytes | None]:
    source = sources.source(entry)
    try:
        secret = fetch_key(sources.provider(entry.provider), entry)
    except FluxbaseCliError as error:
        absent = isinstance(error, KeyAbsentError)
        gone = absent and history.may_be_gone(entry.version)
        active = sources.encryption.effective_key_version or 0
        to_come = absent and entry.version > active and history.is_to_come(entry.version)
        problem = None if gone or to_come else _error_text(error)
        return Verified(entry.version, entry.provider, source, None, problem, gone, to_come), None
    key = Key(entry.version, secret, entry.provider, source)
    problem = _problem_of(secret, others) or next((str(other) for other in other_keys(history.pinned, [key])), None)
    result = Verified(entry.version, entry.provider, source, fingerprint(secret), problem)
    return result, secret if problem is None else None


def _problem_of(secret: bytes, others: Mapping[int, bytes]) -> str | None:
    if len(secret) != KEY_BYTES:
        return f"it is {len(secret)} bytes long and not {KEY_BYTES}: put the right key there"
    for version, other in others.items():
        if hmac.compare_digest(secret, other):
            return f"it is the same key as version {version}: each version needs a different key"
    if not _opens_what_it_seals(secret):
        return "a test value sealed under it does not open (run the command on another machine: this one may be faulty)"
    return None


def _opens_what_it_seals(secret: bytes) -> bool:
    test_value = secrets.token_bytes(KEY_BYTES)
    sealer = Sealer(secret)
    try:
        return sealer.open(decode(sealer.seal(test_value))) == test_value
    except SealError:
        return False


def _error_text(error: FluxbaseCliError) -> str:
    return error.message if error.hint is None else joined(error.message, ". ", error.hint)
