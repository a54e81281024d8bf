"""The context of a run: all that one process needs to work on a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.prepare.prepare import Prepared
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.throttle.autovacuum_lock import LARGE_ROWS
from fluxbase_cli.engine.throttle.throttler import BatchPolicy
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.transactions import Access


@dataclass(frozen=True, slots=True)
class RunContext:
    """All that one process needs to work on a job. Its workers share it.

    Attributes:
        database: how to connect.
        keyring: the keys.
        prepared: the request and the results of the checks.
        job: the number of the job.
        runner: the number of this process among those that work on the job.
        began: the first transaction that may have begun after the job did.
        last_pass: the catch-up pass after which the job gives up.
        vacuumed: the relations that are vacuumed while the job runs.
    """

    database: DatabaseSettings
    keyring: Keyring
    prepared: Prepared
    job: int
    runner: int
    began: int
    last_pass: int
    vacuumed: tuple[Relation, ...] = ()

    @property
    def request(self) -> JobRequest:
        """The request of the operator."""
        return self.prepared.request

    @property
    def goal(self) -> Goal:
        """Which values move to which version."""
        return self.prepared.request.goal

    @property
    def access(self) -> Access:
        """How to read and write values with this role."""
        return self.prepared.preflight.access

    @property
    def tokens(self) -> frozenset[str]:
        """The locations whose plaintext is a token (see `RowResealer`)."""
        return self.prepared.plan.key_sample.tokens

    @property
    def batch_policy(self) -> BatchPolicy:
        """The batch settings of this run."""
        return BatchPolicy(self.request.limits.rows, self.request.batch_s)

    def relations(self) -> Mapping[str, Relation]:
        """The relations by `schema.name`, as they were when the job was prepared."""
        return {relation.qualified: relation for relation in self.prepared.preflight.relations}

    def large_relations(self) -> tuple[Relation, ...]:
        """The relations that autovacuum is kept away from. That lock would keep our own VACUUM away too."""
        return tuple(
            relation
            for relation, found in self.prepared.plan.stats.items()
            if found.rows >= LARGE_ROWS and relation not in self.vacuumed
        )
