"""Checks again that values may be sealed under a key, in the transaction in which a job begins.

A job is prepared some time before it begins. It may wait an hour for the answer to its question. The key may be
destroyed in that time. `keys destroy` and jobs take the same lock (`JobStore.hold_keys`). So one of the two is first,
and the other is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from fluxbase_cli.config import Settings
from fluxbase_cli.engine.run.job_start import BeforeBegin
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import Keyring, fetch_key
from fluxbase_cli.keys.history import history_over
from fluxbase_cli.keys.loader import refuse_as_target
from fluxbase_cli.keys.pins import pin_keys
from fluxbase_cli.keys.sources import find_key_sources
from fluxbase_cli.seal import fingerprint
from fluxbase_cli.store.connection import Connection, session
from fluxbase_cli.store.jobs import JobStore

#: The event of a job that begins in a branch or tenant database.
BEGAN_BESIDE = "began-beside"


def target_check(  # noqa: PLR0913  # what the check depends on
    settings: Settings,
    environ: Mapping[str, str],
    keyring: Keyring,
    version: int,
    *,
    opened: frozenset[int] = frozenset(),
    warn: Callable[[str], None],
) -> BeforeBegin:
    """Make the check that a job runs when it begins (`JobRun`).

    Args:
        settings: the configuration.
        environ: the environment, for providers.
        keyring: the keys, as they were fetched.
        version: the target.
        opened: versions whose keys have opened values, so that they are known to be the right ones.
        warn: called with warnings for the operator.

    Returns:
        A context manager. Inside its block, no key can be disabled or destroyed. Entering the block raises
        `ConfigurationError` if the key is disabled or destroyed, if its source does not have it any more, if its source
        has another key, or if another key is pinned to a version. The target and the versions in `opened` are pinned.
    """
    key = keyring.key(version)

    def check(connection: Connection) -> None:
        JobStore(connection).hold_keys()
        history = history_over(connection)
        refuse_as_target(history, key)
        sources = find_key_sources(settings.encryption, history, environ, warn)
        entry = sources.entry(key.version)
        now = fingerprint(fetch_key(sources.provider(entry.provider), entry))
        if now != key.fingerprint:
            raise ConfigurationError(
                f"the key of version {key.version} has changed at {sources.source(entry)}: its fingerprint is {now}, "
                f"and was {key.fingerprint} when this command began",
                hint="Nothing was sealed. Run the command again.",
            )
        pin_keys(connection, keyring, {version, *opened})

    @contextmanager
    def block(connection: Connection | None) -> Iterator[None]:
        if connection is not None:
            check(connection)
            yield
            return
        # Only the main database has the records and the lock of keys.
        with session(settings.database) as main, main.transaction():
            check(main)
            # A destruction that runs at the same time finds this event, and so knows that a job has begun.
            JobStore(main).events.add(BEGAN_BESIDE, detail={"to_version": key.version})
            yield

    return block
