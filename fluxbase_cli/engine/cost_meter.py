"""Measures what a run costs in time, WAL and growth, from before its first statement to after its last."""

from __future__ import annotations

import time
from collections.abc import Mapping

from fluxbase_cli.config.provider_traits import LOCAL_PROVIDERS
from fluxbase_cli.engine.cost import Cost
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.server_load import standbys
from fluxbase_cli.store.table_size import TableSize, table_sizes
from fluxbase_cli.store.trial import (
    wal_position,
)


class CostMeter:
    """Measures what a run costs.

    Args:
        connection: a connection outside a transaction, when the run begins.
        relations: the relations that the run writes to.
    """

    def __init__(self, connection: Connection, relations: tuple[Relation, ...]) -> None:
        self._relations = relations
        self._began = time.monotonic()
        self._wal = wal_position(connection)
        self.before: Mapping[str, TableSize] = table_sizes(connection, relations)

    def read(self, connection: Connection, keyring: Keyring) -> tuple[Cost, Mapping[str, TableSize]]:
        """Return the cost so far, and how large the relations are now.

        Args:
            connection: any connection outside a transaction.
            keyring: the keys that were fetched.
        """
        now = table_sizes(connection, self._relations)
        cost = Cost(
            seconds=time.monotonic() - self._began,
            wal_bytes=wal_position(connection) - self._wal,
            growth_bytes=_total(now) - _total(self.before),
            key_calls=key_calls(keyring),
            standbys=len(standbys(connection)),
        )
        return cost, now


def key_calls(keyring: Keyring) -> int:
    """How many keys came from outside this machine."""
    return sum(key.provider not in LOCAL_PROVIDERS for key in keyring.keys)


def _total(found: Mapping[str, TableSize]) -> int:
    return sum(size.total for size in found.values())
