"""The shards of a job: their leases, and the record of each batch in the transaction of its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from fluxbase_cli.counts import Counts
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.ctid import Ctid
from fluxbase_cli.store.queries import Statements
from fluxbase_cli.store.records import ColumnCounts, Shard, ShardLayout, ShardTotal
from fluxbase_cli.store.relation import Relation

#: How long a lease lasts without a heartbeat of its runner, in seconds.
LEASE_S = 30.0


class LeaseLostError(Exception):
    """Another runner has the shard now. The present batch must be rolled back."""


def _load_counts(data: Mapping[str, Mapping[str, Any]]) -> ColumnCounts:
    return {column: Counts.from_dict(dict(counts)) for column, counts in data.items()}


def _dump_counts(counts: ColumnCounts) -> Jsonb:
    return Jsonb({column: found.as_dict() for column, found in counts.items()})


class ShardStore:
    """The shards over one connection, in autocommit unless the caller began a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = Statements(connection, "shards.sql")

    def create(self, job: int, layouts: Mapping[Relation, ShardLayout]) -> None:
        """Divide the relations of a new job into shards."""
        self._sql.rows(
            "create_shards",
            job=job,
            tables=[relation.table.qualified for relation in layouts],
            schemas=[relation.schema for relation in layouts],
            names=[relation.name for relation in layouts],
            relations=[relation.qualified for relation in layouts],
            shard_blocks=[layout.blocks for layout in layouts.values()],
            lanes=[layout.lanes for layout in layouts.values()],
        )

    def create_catch_up(self, job: int, pass_number: int, relations: Sequence[Relation]) -> None:
        """Create the shards of a catch-up pass: one for each relation."""
        self._sql.rows(
            "census_shards",
            job=job,
            tables=[relation.table.qualified for relation in relations],
            relations=[relation.qualified for relation in relations],
            **{"pass": pass_number},
        )

    @staticmethod
    def _shard(row: Mapping[str, Any]) -> Shard:
        return Shard(
            row["id"],
            row["pass"],
            row["table_name"],
            row["relation"],
            Ctid.unpack(row["first"]),
            Ctid.unpack(row["upto"]),
            row["strides"],
            row["stride"],
            Ctid.unpack(row["cursor"]),
            row["rows_done"],
            _load_counts(row["counts"]),
        )

    def read_by(self, job: int, pass_number: int) -> frozenset[str]:
        """The qualified names of the relations that a pass reads."""
        rows = self._sql.rows("relations_of_pass", job=job, **{"pass": pass_number})
        return frozenset(row["relation"] for row in rows)

    def lease(self, job: int, runner: int) -> Shard | None:
        """Take the lease of a shard of the current pass that no runner has."""
        rows = self._sql.rows("lease_shard", job=job, runner=runner, lease_s=LEASE_S)
        return self._shard(rows[0]) if rows else None

    def reread(self, shard: int, runner: int) -> Shard | None:
        """Read a leased shard from the database; None if it is done or another runner has it."""
        rows = self._sql.rows("reread_shard", shard=shard, runner=runner)
        return self._shard(rows[0]) if rows else None

    @contextmanager
    def recorded(  # noqa: PLR0913  # the result of a batch
        self, shard: Shard, runner: int, after: Shard, *, done: bool, wrote: bool, unwritten: int
    ) -> Iterator[None]:
        """Record a batch in the transaction of its values, and commit after the block, in one round trip.

        Inside the block nothing is committed, and the record may not have reached the server yet.

        Args:
            shard: the shard before the batch.
            runner: the runner that holds its lease.
            after: the shard after the batch.
            done: whether nothing is left of it.
            wrote: whether the transaction wrote values.
            unwritten: how many rows could not be written.

        Raises:
            LeaseLostError: another runner has the shard now. Nothing was committed; the caller must roll back.
        """
        arguments = {
            "shard": shard.id,
            "runner": runner,
            "was_lane": shard.lane,
            "was_cursor": shard.cursor.packed,
            "was_rows_done": shard.rows_done,
            "was_counts": _dump_counts(shard.counts),
            "lane": after.lane,
            "cursor": after.cursor.packed,
            "done": done,
            "rows_done": after.rows_done,
            "counts": _dump_counts(after.counts),
            "lease_s": LEASE_S,
            "wrote": wrote,
            "unwritten": unwritten,
        }
        try:
            with self._connection.pipeline():
                self._connection.execute(self._sql["record_batch"], arguments, prepare=True)
                yield
                # Not prepared: if the record fails, the server skips the COMMIT, but the driver would believe that it
                # has been prepared.
                self._connection.execute("COMMIT", prepare=False)
        except psycopg.errors.DivisionByZero:
            # The statement fails like this on purpose, so that the server skips the COMMIT in the same pipeline.
            raise LeaseLostError from None

    def give_back(self, shard: int, runner: int) -> None:
        """Free the lease of a shard, if the runner still holds it."""
        self._sql.rows("give_back", shard=shard, runner=runner)

    def abandon(self, job: int, shard: int, runner: int) -> None:
        """End a shard whose relation does not exist any more. A catch-up pass over everything follows."""
        self._sql.rows("abandon_shard", job=job, shard=shard, runner=runner)

    def main_rows_done(self, job: int) -> dict[str, int]:
        """How many rows the main pass has processed, by `schema.name` of the relation."""
        return {str(row["relation"]): int(row["rows"]) for row in self._sql.rows("main_rows_done", job=job)}

    def totals(self, job: int) -> list[ShardTotal]:
        """The progress of each shard."""
        return [
            ShardTotal(
                row["pass"],
                row["table_name"],
                row["done"],
                row["rows_done"],
                _load_counts(row["counts"]),
                row["size"],
                row["share"],
            )
            for row in self._sql.rows("shard_totals", job=job)
        ]

    def open_shards(self, job: int, pass_number: int) -> tuple[int, int]:
        """How many shards of a pass are not done, and how many values it wrote, found moved, or could not write."""
        row = self._sql.rows("open_shards", job=job, **{"pass": pass_number})[0]
        return int(row["open_shards"]), int(row["touched"])

    def rows_done(self, job: int) -> int:
        """How many rows the main pass has done."""
        return int(self._sql.rows("progress", job=job)[0]["rows_done"])

    def relations(self, job: int) -> frozenset[str]:
        """The relations of the job's main pass."""
        return frozenset(row["relation"] for row in self._sql.rows("relations", job=job))

    def has_relation(self, shard: Shard) -> bool:
        """Whether a relation with the name of the shard's relation exists."""
        schema, _, name = shard.relation.partition(".")
        return bool(self._sql.rows("has_relation", schema=schema, relation=name)[0]["found"])

    def written_transactions(self, job: int) -> str:
        """The transaction ids of all batches that wrote, as the text of an array."""
        row = self._connection.execute(self._sql["written_xids"], {"job": job}).fetchone()
        return str(row[0]) if row else "{}"

    def repeat_catch_up(self, job: int) -> None:
        """Make the present catch-up pass read everything again. In the main pass, do nothing.

        It stays the same pass. The next pass would skip row versions that this pass has not read yet.
        """
        self._sql.rows("repeat_census", job=job)
