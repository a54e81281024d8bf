"""Chooses the batch limits for a table."""

from __future__ import annotations

from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.relation import Relation

#: A batch of documents is smaller: nobody knows how large a compressed one is before it was read.
_MOST_DOCUMENTS = 250


def limits_for(relation: Relation, limits: Limits) -> Limits:
    """The limits of a batch of this table."""
    return Limits(min(limits.rows, _MOST_DOCUMENTS), limits.bytes) if relation.holds_documents else limits
