"""Values for the completion: key versions, jobs, locations, rules and commands. Nothing here fetches a key."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from fluxbase_cli.cli.completion.columns import columns
from fluxbase_cli.cli.completion.words import Values, Word

if TYPE_CHECKING:
    from fluxbase_cli.config import Settings

_MANY_VERSIONS = 10_000
_MOST_JOBS = 20


def _settings(options: Mapping[str, str]) -> Settings:
    from fluxbase_cli.config import load_settings  # noqa: PLC0415  # start-up time

    config = options.get("--config") or os.environ.get("FLUXBASE_CLI_CONFIG")
    return load_settings(
        config=Path(config) if config else None,
        database_url=options.get("--database-url") or os.environ.get("FLUXBASE_CLI_DATABASE_URL") or None,
        directory=Path.cwd(),
        environ=os.environ,
        # The variable of a destroyed key may be unset. Only the database knows which keys are destroyed.
        destroyed=frozenset(range(1, _MANY_VERSIONS)),
    )


def key_versions(options: Mapping[str, str]) -> Sequence[Word]:
    """The key versions in the configuration. No key is fetched."""
    encryption = _settings(options).encryption
    active = encryption.active_key_version
    return [
        (str(entry.version), entry.provider + (", active" if entry.version == active else ""))
        for entry in sorted(encryption.keys, key=lambda each: each.version)
    ]


def jobs(options: Mapping[str, str]) -> Sequence[Word]:
    """The newest jobs in the database."""
    from fluxbase_cli.store.connection import session  # noqa: PLC0415  # start-up time
    from fluxbase_cli.store.jobs import JobStore  # noqa: PLC0415

    with session(_settings(options).database) as connection:
        store = JobStore(connection)
        found = store.latest(_MOST_JOBS) if store.schema.exists() else []
    return [(str(job.id), f"{job.kind.value} to version {job.to_version}, {job.state.value}") for job in found]


def places(_options: Mapping[str, str]) -> Sequence[Word]:
    """The locations of all releases."""
    from fluxbase_cli.catalogue.locations import CATALOGUE  # noqa: PLC0415  # start-up time

    return [(f"{table.schema}.{table.name}.{column.name}", "") for table in CATALOGUE for column in table.columns]


def rules(_options: Mapping[str, str]) -> Sequence[Word]:
    """The rules of the security check."""
    from fluxbase_cli.security.registry import all_rules  # noqa: PLC0415  # start-up time

    return [(rule.id, rule.title) for rule in all_rules()]


#: Where values come from, by the name of an option or the metavar of an argument. If an option has other values in each
#: command, by the words of the command and the option.
VALUES: Mapping[str, Values] = MappingProxyType(
    {
        "--from-version": key_versions,
        "--to-version": key_versions,
        "--key-version": key_versions,
        "JOB": jobs,
        "--location": places,
        "RULE": rules,
        **columns(key_versions),
    }
)
