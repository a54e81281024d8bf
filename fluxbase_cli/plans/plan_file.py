"""A plan file: JSON with a digest over its content. docs/operators/plans.md lists its fields.

The digest finds damage and careless edits. It is no signature: who can change the file can change the digest too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from fluxbase_cli import __version__
from fluxbase_cli.config.files import SourceFile, read_text
from fluxbase_cli.config.replace_file import may_be_put, put_file
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.printable import to_printable_json
from fluxbase_cli.store.identity import DatabaseIdentity
from fluxbase_cli.store.records import JobKind

_T = TypeVar("_T")

FORMAT = "fluxbase-cli plan"
FORMAT_VERSION = 1
_AGAIN = "Make a new plan with --plan-out."


@dataclass(frozen=True, slots=True)
class PlannedLocation:
    """One location of a database.

    Attributes:
        location: `schema.table.column`.
        values: non-empty values (for JSON: documents), as they are counted again before the run.
        counts: what the dry run counted, by the names of `Counts`.
    """

    location: str
    values: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PlannedDatabase:
    """One database in which the job will run.

    Attributes:
        database: its name.
        kind: `main`, `branch` or `tenant`.
        locations: its locations.
    """

    database: str
    kind: str
    locations: tuple[PlannedLocation, ...]


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """What a job will do.

    Attributes:
        kind: re-encryption or rollback.
        from_version: the version to move away from; None for all versions but the target.
        to_version: the target.
        reason: of a rollback.
        created_at, expires_at: by the server's clock.
        main: the main database.
        release: its release of Fluxbase.
        keys: the fingerprints of all keys of the key ring, by version.
        options: the options of the command, by their names in `JobOptions`.
        catalogue: the digest of the locations, those of `--locations` included.
        databases: the databases in which the job will run.
        estimate: seconds, WAL and so on, as in the JSON of a dry run; None if it is unknown.
        undecryptable: how many values no key opens. They stay as they are.
        unexamined: what could not be examined, as in JSON.
        warnings: what the checks have found.
        tool_version: the version of the tool that made the plan.
    """

    kind: JobKind
    from_version: int | None
    to_version: int
    reason: str | None
    created_at: datetime
    expires_at: datetime
    main: DatabaseIdentity
    release: str
    keys: Mapping[int, str]
    options: Mapping[str, Any]
    catalogue: str
    databases: tuple[PlannedDatabase, ...]
    estimate: Mapping[str, Any] | None
    undecryptable: int
    unexamined: tuple[Mapping[str, str], ...]
    warnings: tuple[str, ...]
    tool_version: str = __version__

    @property
    def digest(self) -> str:
        """The digest of the content, as `sha256:…`."""
        return _digest(self._content())

    def as_data(self) -> dict[str, Any]:
        """The whole document."""
        return {**self._content(), "digest": self.digest}

    def _content(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "tool_version": self.tool_version,
            "kind": self.kind.value,
            "from_version": self.from_version,
            "to_version": self.to_version,
            "reason": self.reason,
            "created_at": self.created_at.isoformat(),
            "expires_at": self.expires_at.isoformat(),
            "database": asdict(self.main),
            "release": self.release,
            "keys": [{"version": version, "fingerprint": self.keys[version]} for version in sorted(self.keys)],
            "options": dict(self.options),
            "catalogue": self.catalogue,
            "databases": [
                {
                    "database": each.database,
                    "kind": each.kind,
                    "locations": [
                        {"location": found.location, "values": found.values, **found.counts} for found in each.locations
                    ],
                }
                for each in self.databases
            ],
            "forecast": None if self.estimate is None else dict(self.estimate),
            "undecryptable": self.undecryptable,
            "unexamined": [dict(each) for each in self.unexamined],
            "warnings": list(self.warnings),
        }


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(text.encode('ascii')).hexdigest()}"


def refuse_unwritable(path: Path) -> None:
    """Raise an error if a plan can't be written there. Call it before anything that takes long.

    Raises:
        ConfigurationError: there is no such folder, or the path is a link or no regular file.
    """
    try:
        fit = may_be_put(path) and path.absolute().parent.is_dir()
    except OSError:
        fit = False
    if not fit:
        raise ConfigurationError(
            f"--plan-out {path} can't be written: there is no such folder, or it is no regular file",
            hint="Name a file in a folder that exists. A link or a device is not overwritten.",
        )


def write_plan(path: Path, plan: SavedPlan) -> None:
    """Write a plan, atomically and with mode 0600.

    Raises:
        ConfigurationError: the file can't be written.
    """
    try:
        put_file(path, (to_printable_json(plan.as_data(), indent=2) + "\n").encode(), keep_mode=False)
    except OSError as error:
        raise ConfigurationError(
            f"--plan-out {path} can't be written: {error.strerror or type(error).__name__}",
            hint="Name a file in a folder where you may write.",
        ) from None


def read_plan(path: Path) -> SavedPlan:
    """Read a plan.

    Raises:
        ConfigurationError: it can't be read, is no plan, was changed, or has a format that this version does not read.
    """
    label = f"--plan {path}"
    text = read_text(SourceFile(path, label))
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{label}: this is no plan: it is not JSON", hint=_AGAIN) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ConfigurationError(f"{label}: this is no plan of this tool", hint=_AGAIN)
    if data.get("format_version") != FORMAT_VERSION:
        raise ConfigurationError(
            f"{label}: its format is {str(data.get('format_version'))[:20]!r}, of another version of the tool "
            f"({str(data.get('tool_version'))[:40]}); this version ({__version__}) reads format {FORMAT_VERSION}",
            hint="Make and run a plan with the same version of the tool.",
        )
    content = {name: value for name, value in data.items() if name != "digest"}
    try:
        unchanged = data.get("digest") == _digest(content)
    except (ValueError, RecursionError):
        unchanged = False
    if not unchanged:
        raise ConfigurationError(
            f"{label}: it was changed or damaged after it was made: the digest does not fit its content", hint=_AGAIN
        )
    try:
        return _plan(content)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ConfigurationError(
            f"{label}: this is no plan: a field is missing or has another type", hint=_AGAIN
        ) from None


def _plan(data: Mapping[str, Any]) -> SavedPlan:
    main = data["database"]
    source, reason, estimate = data["from_version"], data["reason"], data["forecast"]
    return SavedPlan(
        kind=JobKind(data["kind"]),
        from_version=None if source is None else _typed(source, int),
        to_version=_typed(data["to_version"], int),
        reason=None if reason is None else _typed(reason, str),
        created_at=_moment(data["created_at"]),
        expires_at=_moment(data["expires_at"]),
        main=DatabaseIdentity(
            _typed(main["host"], str),
            _typed(main["port"], int),
            _typed(main["database"], str),
            _typed(main["oid"], int),
            None if main["system_identifier"] is None else _typed(main["system_identifier"], str),
            _typed(main["role"], str),
        ),
        release=_typed(data["release"], str),
        keys={_typed(key["version"], int): _typed(key["fingerprint"], str) for key in data["keys"]},
        options=_typed(data["options"], dict),
        catalogue=_typed(data["catalogue"], str),
        databases=_each(data["databases"], _database),
        estimate=None if estimate is None else _typed(estimate, dict),
        undecryptable=_typed(data["undecryptable"], int),
        unexamined=_each(data["unexamined"], lambda each: _typed(each, dict)),
        warnings=_each(data["warnings"], lambda each: _typed(each, str)),
        tool_version=_typed(data["tool_version"], str),
    )


def _database(data: Mapping[str, Any]) -> PlannedDatabase:
    return PlannedDatabase(
        _typed(data["database"], str), _typed(data["kind"], str), _each(data["locations"], _location)
    )


def _location(data: Mapping[str, Any]) -> PlannedLocation:
    counts = {name: _typed(value, int) for name, value in data.items() if name not in ("location", "values")}
    return PlannedLocation(_typed(data["location"], str), _typed(data["values"], int), counts)


def _each(data: Any, read: Callable[[Any], _T]) -> tuple[_T, ...]:  # noqa: ANN401  # JSON
    return tuple(read(each) for each in _typed(data, list))


def _typed(value: Any, kind: type[_T]) -> _T:  # noqa: ANN401  # JSON
    # True and False are numbers in Python.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError
    return value


def _moment(text: Any) -> datetime:  # noqa: ANN401  # JSON
    moment = datetime.fromisoformat(_typed(text, str))
    if moment.tzinfo is None:
        raise ValueError
    return moment
