"""The key sample: values of every location are opened before the first write.

So a wrong key is reported as a wrong key, and not as thousands of damaged values (promise 7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fluxbase_cli.catalogue.locations import Unsealed
from fluxbase_cli.catalogue.plaintext import hold_no_seals
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.run.resealer import RowResealer
from fluxbase_cli.engine.tally import Tally
from fluxbase_cli.errors import WrongKeyError
from fluxbase_cli.keyring import Keyring, Opener
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.reader import Reader
from fluxbase_cli.store.relation import FIRST, ID, Relation
from fluxbase_cli.store.rows import RowList
from fluxbase_cli.store.table_stats import TableStats, spread_ids

#: Values in the sample of each location, spread over its ids.
SAMPLE = 200
#: A sample with fewer values is too small to decide.
_ENOUGH = 10


@dataclass(frozen=True, slots=True)
class KeySample:
    """What the sample showed.

    Attributes:
        samples: the counts by `schema.table.column`.
        tokens: the locations that may hold plaintext, and whose undecryptable values in the sample are tokens of
            letters and digits. There are too many of them to have no other character by chance.
    """

    samples: Mapping[str, Tally]
    tokens: frozenset[str] = frozenset()

    def refuse_wrong_key(self, goal: Goal) -> None:
        """Raise an error if a sample has ten or more values and over half of them are undecryptable.

        Raises:
            WrongKeyError: the message says whether the from-key, the to-key or neither opened any.
        """
        together = Tally()
        for tally in self.samples.values():
            together.add(tally)
        suspects = {**self.samples, "all locations together": together}
        for location, tally in suspects.items():
            if tally.scanned >= _ENOUGH and 2 * tally.undecryptable > tally.scanned:
                raise WrongKeyError(
                    f"{tally.undecryptable} of {tally.scanned} sampled values of {location} open under no configured "
                    f"key: {_who_opened(tally, goal)}. Nothing was written",
                    hint="The key given is not the key that sealed these values. Check it (`fluxbase-cli keys list` "
                    "shows fingerprints), or leave such values as they are with --accept-undecryptable.",
                )


def _who_opened(tally: Tally, goal: Goal) -> str:
    opened = tally.by_version()
    target = opened.get(goal.target, 0)
    if goal.source is None:
        source = sum(number for version, number in opened.items() if version != goal.target)
        source_name = "the other keys"
    else:
        source = opened.get(goal.source, 0)
        source_name = f"the key of version {goal.source}"
    if source and target:
        return f"{source_name} opened {source}, that of version {goal.target} opened {target}"
    if source:
        return f"{source_name} opened {source}, that of version {goal.target} none"
    if target:
        return f"the key of version {goal.target} opened {target}, {source_name} opened none"
    return f"neither {source_name} nor that of version {goal.target} opened any"


def take_sample(connection: Connection, stats: Mapping[Relation, TableStats], keyring: Keyring) -> KeySample:
    """Open up to 200 values of each location.

    Args:
        connection: a connection in a transaction that `begin_stats_read` opened.
        stats: how much each relation holds.
        keyring: the keys to try.
    """
    opener = Opener(keyring)
    samples: dict[str, Tally] = {}
    unopened: dict[str, list[bytes]] = {}
    for relation, found in stats.items():
        reader = Reader(relation)
        resealer = RowResealer(relation, opener, goal=None)
        for index, column in enumerate(relation.columns):
            # Spread over the ids, not from the first row: a table may begin with a thousand damaged rows.
            ids = spread_ids(connection, relation, column, found.values[column.name], SAMPLE)
            rows = reader.reread_readable(connection, ids) if ids else []
            location = relation.table.location(column)
            result = resealer.process(RowList(rows))
            samples.setdefault(location, Tally()).add(result.tallies[index])
            if column.unsealed is Unsealed.PLAINTEXT:
                bad = {e.id.bytes for e in result.quarantine if e.location == location}
                unopened.setdefault(location, []).extend(row[FIRST + index] for row in rows if row[ID] in bad)
    tokens = frozenset(location for location, texts in unopened.items() if hold_no_seals(texts))
    for location in tokens:
        tally = samples[location]
        tally.plaintext, tally.undecryptable = tally.plaintext + tally.undecryptable, 0
    return KeySample(samples, tokens)
