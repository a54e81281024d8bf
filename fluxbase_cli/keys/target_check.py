"""Whether values may be sealed under a key, looked at once more in the transaction in which a job begins.

A job is prepared long before that, and may wait at its question for an hour. Meanwhile the key may have been
destroyed. `keys destroy` takes a lock that jobs take too (`JobStore.hold_keys`), so one of the two comes first and the
other is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from fluxbase_cli.config import Settings
from fluxbase_cli.engine.run.job_start import BeforeBegin
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import Key
from fluxbase_cli.keys.history import history_over
from fluxbase_cli.keys.loader import refuse_as_target
from fluxbase_cli.keys.sources import find_key_sources
from fluxbase_cli.seal import fingerprint
from fluxbase_cli.store.connection import Connection, session
from fluxbase_cli.store.jobs import JobStore

#: The event of a job that begins in a database beside the main one.
BEGAN_BESIDE = "began-beside"


def target_check(
    settings: Settings, environ: Mapping[str, str], key: Key, *, warn: Callable[[str], None]
) -> BeforeBegin:
    """Make the check that a job runs when it begins (`JobRun`).

    Args:
        settings: what is configured.
        environ: the environment, for providers.
        key: the key that values are to be sealed under, as it was fetched.
        warn: is called with what an operator should know.

    Returns:
        A block in which no key is disabled or destroyed. Entering it raises `ConfigurationError` where the key is
        disabled or destroyed, is gone from its place, or is another one there.
    """

    def check(connection: Connection) -> None:
        JobStore(connection).hold_keys()
        history = history_over(connection)
        refuse_as_target(history, key)
        sources = find_key_sources(settings.encryption, history, environ, warn)
        entry = sources.entry(key.version)
        there = fingerprint(sources.provider(entry.provider).fetch(entry))
        if there != key.fingerprint:
            raise ConfigurationError(
                f"the key of version {key.version} has changed at {sources.source(entry)}: its fingerprint is {there}, "
                f"and was {key.fingerprint} when this command began",
                hint="Nothing was sealed. Run the command again.",
            )

    @contextmanager
    def block(connection: Connection | None) -> Iterator[None]:
        if connection is not None:
            check(connection)
            yield
            return
        # Keys are recorded, and locked, in the main database only.
        with session(settings.database) as main, main.transaction():
            check(main)
            # A destroy that is under way sees by this that a job began elsewhere.
            JobStore(main).events.add(BEGAN_BESIDE, detail={"to_version": key.version})
            yield

    return block
