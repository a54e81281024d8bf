"""The proof that a key's events record: the audits, the positions of the standbys, and what was skipped on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fluxbase_cli.keys.destroy_request import DestroyRequest, Subject
from fluxbase_cli.keys.interlocks import NeededBy
from fluxbase_cli.proof.standbys import Standbys
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.events import os_user


@dataclass(frozen=True, slots=True)
class Evidence:
    """The findings before a key was disabled or destroyed.

    Attributes:
        census: what the audits found, by database.
        standbys: the positions of the standbys after the audits.
    """

    census: tuple[NeededBy, ...]
    standbys: Standbys

    def shown(self) -> dict[str, Any]:
        """The fields of a `DestroyOutcome` that are about the standbys."""
        return {
            "lsn": self.standbys.lsn,
            "standbys": tuple(self.standbys.as_dicts()),
            "unexamined": self.standbys.unexamined,
        }

    def detail(self, connection: Connection, subject: Subject, request: DestroyRequest) -> dict[str, Any]:
        """The detail of an event of the key.

        Args:
            connection: gives the database role that we use.
            subject: the key.
            request: names what is skipped.
        """
        who = {"os_user": os_user(), "db_user": connection.info.user}
        return {
            "provider": subject.provider,
            "source": subject.source,
            "keep_until": None if request.keep_until is None else request.keep_until.isoformat(),
            "census": [
                {
                    "database": each.database,
                    "found": each.total,
                    "undecryptable": each.undecryptable,
                    "locations": each.scanned,
                }
                for each in self.census
            ],
            "lsn": self.standbys.lsn,
            "standbys": self.standbys.as_dicts(),
            "skipped": [skipped | who for skipped in self._skipped(request)],
            # These standbys are not checked any more from now on.
            **({"forgotten": list(self.standbys.gone)} if request.skip_standbys and self.standbys.gone else {}),
        }

    def _skipped(self, request: DestroyRequest) -> Iterator[dict[str, Any]]:
        if request.skip_copies:
            yield {"what": "copies"}
        if request.skip_deep:
            yield {"what": "deep audit"}
        left_out = (*request.scope.absent, *(() if request.skip_deep else request.scope.skip))
        for each in left_out:
            yield {"what": "place", "where": each.where, "reason": each.reason}
        undecryptable = sum(each.undecryptable for each in self.census)
        if undecryptable and request.accept_undecryptable:
            yield {"what": "undecryptable", "number": undecryptable}
        if request.skip_standbys:
            yield {"what": "standbys", "unexamined": [each.as_dict() for each in self.standbys.unexamined]}
