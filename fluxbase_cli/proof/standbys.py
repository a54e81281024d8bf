"""Checks standbys and replication slots: an audit of the primary says nothing about a standby that is behind.

A standby that has not replayed what the audit saw still has values under the old key. After a promotion it is the
database. So before a key is destroyed, every standby and every replication slot must be past the audit's position in
the WAL. The primary can't see a standby of a standby.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.moments import moment_text
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.replication import (
    Receiver,
    Seen,
    Slot,
    receivers,
    seen_standbys,
    slots,
    synchronous_standby_names,
    wal_position,
)
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind

#: How long standbys may take to reach the audit's position, in seconds. Idle standbys report at least every ten
#: seconds.
RETRY_LIMIT_S = 12.0
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Standbys:
    """How far the standbys were after an audit.

    Attributes:
        lsn: the position in the WAL after all that the audit saw.
        connected: the standbys and receivers that were connected.
        unexamined: standbys and slots that are not at that position yet, or can't be seen.
        gone: the names of standbys that were connected before and are not now.
    """

    lsn: str
    connected: tuple[Receiver, ...] = ()
    unexamined: tuple[Unexamined, ...] = ()
    gone: tuple[str, ...] = ()

    def as_dicts(self) -> list[dict[str, Any]]:
        """The connected standbys, as events and reports show them."""
        return [
            {"name": each.name, "replay_lsn": each.lsn, "lag_s": each.lag_s}
            for each in self.connected
            if each.is_standby
        ]


def examine_standbys(
    connection: Connection, *, databases: Iterable[str] = (), stop: Stop, retry_limit_s: float = RETRY_LIMIT_S
) -> Standbys:
    """Check that all standbys and slots are past this moment. Connected ones may catch up meanwhile.

    Args:
        connection: a session on the primary.
        databases: the names of other databases on it that hold sealed values.
        stop: ends the wait.
        retry_limit_s: how long to wait at most, in seconds.
    """
    lsn, databases = wal_position(connection), tuple(databases)
    seen = seen_standbys(connection)
    deadline = time.monotonic() + retry_limit_s
    while True:
        connected, kept = receivers(connection, lsn), slots(connection, lsn, databases)
        late = any(not each.reached and not each.hidden for each in connected)
        late = late or any(each.active and not each.reached for each in kept)
        if not late or stop.requested or time.monotonic() >= deadline:
            break
        stop.wait(_POLL_S)
    names = synchronous_names(synchronous_standby_names(connection))
    gone = tuple(_gone(seen, connected))
    unexamined = (
        *_behind(connected, lsn, connection.info.user),
        *_slots_behind(kept, connected, lsn),
        *_not_connected(names, connected),
        *(_unexamined(name, _was_seen(seen[name])) for name in gone if name.casefold() not in map(str.casefold, names)),
    )
    return Standbys(lsn, connected, unexamined, gone)


def synchronous_names(setting: str) -> tuple[str, ...]:
    """The names in `synchronous_standby_names`, as written: `a, b`, `2 (a, "b c")`, `FIRST 2 (a, b)`, `ANY 1 (*)`."""
    words = list(_words(setting))
    if "(" in words:
        words = words[words.index("(") + 1 :]
    return tuple(word for word in words if word not in (",", "(", ")", "*"))


def _words(setting: str) -> Iterator[str]:
    word, quoted = "", False
    for character in setting:
        if character == '"':
            quoted = not quoted
        elif not quoted and (character.isspace() or character in ",()"):
            if word:
                yield word
            word = ""
            if character in ",()":
                yield character
        else:
            word += character
    if word:
        yield word


def _unexamined(name: str, reason: str) -> Unexamined:
    return Unexamined(UnexaminedKind.STANDBY, name, reason)


def _behind(connected: Iterable[Receiver], lsn: str, role: str) -> Iterator[Unexamined]:
    for each in connected:
        if each.logical:
            continue
        if each.hidden:
            yield _unexamined(
                each.name, f'role {role} may not see how far it is: have someone run GRANT pg_monitor TO "{role}"'
            )
        elif not each.reached and each.replays:
            yield _unexamined(
                each.name,
                f"it has replayed up to {each.lsn}, and what was audited ends at {lsn}: wait until it has caught up, "
                "and look whether its replay is paused",
            )
        elif not each.reached:
            yield _unexamined(
                each.name,
                f"it has stored the WAL up to {each.lsn or 'an unknown position'}, and what was audited ends at {lsn}: "
                "wait, or run SELECT pg_switch_wal() if it stores whole segments",
            )


def _slots_behind(kept: Iterable[Slot], connected: Iterable[Receiver], lsn: str) -> Iterator[Unexamined]:
    # If a standby is reported, its slot is not reported too.
    reported = {each.slot for each in connected if not each.logical and (each.hidden or not each.reached)}
    for each in kept:
        kind, name = "logical slot" if each.logical else "slot", each.name
        if not each.active:
            yield _unexamined(
                f"{kind} {name}",
                f"nobody is connected to it, and its receiver is at {each.lsn or 'an unknown position'}: start that "
                f"receiver, or run SELECT pg_drop_replication_slot('{name}') if it is gone for good",
            )
        elif not each.reached and name not in reported:
            yield _unexamined(
                f"{kind} {name}", f"its receiver is at {each.lsn}, and what was audited ends at {lsn}: wait for it"
            )


def _not_connected(names: Iterable[str], connected: Iterable[Receiver]) -> Iterator[Unexamined]:
    there = {each.name.casefold() for each in connected}
    for name in dict.fromkeys(names):
        if name.casefold() not in there:
            yield _unexamined(name, "synchronous_standby_names names it, and it is not connected: start it")


def _gone(seen: Mapping[str, Seen], connected: Iterable[Receiver]) -> Iterator[str]:
    there = Counter(each.name for each in connected)
    for name, before in seen.items():
        if there[name] < before.number:
            yield name


def _was_seen(seen: Seen) -> str:
    when = f"connected on {moment_text(seen.at)}"
    if seen.number == 1:
        return f"it was {when}, and is not now: start it"
    return f"{seen.number} of that name were {when}, and not all are now: start those that are missing"
