"""Chooses the store and the batch limits for a table."""

from __future__ import annotations

from fluxbase_cli.store.documents import DocumentStore
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.writer import TextStore

#: A batch of documents is smaller, because each document needs one statement.
_MOST_DOCUMENTS = 100

ValueStore = TextStore | DocumentStore


def store_for(relation: Relation) -> ValueStore:
    """The store that reads and writes this relation."""
    return DocumentStore(relation) if relation.holds_documents else TextStore(relation)


def limits_for(relation: Relation, limits: Limits) -> Limits:
    """The limits of a batch of this table."""
    return Limits(min(limits.rows, _MOST_DOCUMENTS), limits.bytes) if relation.holds_documents else limits
