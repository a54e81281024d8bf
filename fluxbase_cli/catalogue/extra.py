"""The file of `--locations`: more locations of sealed values, and what is left out on purpose.

    locations:                          # tables that no release of Fluxbase has
      - table: crm.credentials          # schema.table
        columns: [api_key]              # or {name: …, form: text|json, plaintext: true|false}
        key: id                         # the column that names a row [default: id]
        user_column: owner_id           # the uuid column of a user whose derived key seals the row's values
        flag_column: is_encrypted       # the boolean column that says whether the row is sealed
    skip:                               # left out of the deep audit
      - place: auth.webhook_events      # schema.table, or schema.table.column
        reason: old events, nobody reads them
    absent:                             # tables that the release has, but not this installation
      - table: branching.github_config
        reason: never used here

The whole file is checked before anything is changed. An error message names the place of the mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fluxbase_cli.catalogue.locations import CATALOGUE, Form, SealedColumn, SealedTable, Unsealed
from fluxbase_cli.config.files import SourceFile, read_text
from fluxbase_cli.errors import ConfigurationError

_NAME = re.compile(r"[^.\s\x00-\x1f]{1,63}")
_SECTIONS = ("locations", "skip", "absent")
_TABLE_FIELDS = ("table", "columns", "key", "user_column", "flag_column")
_COLUMN_FIELDS = ("name", "form", "plaintext")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that is left out on purpose.

    Attributes:
        where: `schema.table` or `schema.table.column`.
        reason: why, in the words of the operator.
    """

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class SearchScope:
    """Where sealed values are searched.

    Attributes:
        catalogue: the sealed tables: those of every release, and those that the operator has named.
        skip: tables and columns that the deep audit leaves out.
        absent: tables that may be missing.
        source: the file of `--locations`; None if none was given.
    """

    catalogue: tuple[SealedTable, ...] = CATALOGUE
    skip: tuple[LeftOut, ...] = ()
    absent: tuple[LeftOut, ...] = ()
    source: str | None = None


#: The scope without a file.
ONLY_RELEASES = SearchScope()


def read_places(path: Path | None) -> SearchScope:
    """Read the file of `--locations`.

    Args:
        path: the file; None means only the locations of the releases.

    Raises:
        ConfigurationError: the file can't be read, or has a mistake. The message names the place.
    """
    if path is None:
        return ONLY_RELEASES
    import yaml  # noqa: PLC0415  # start-up time

    from fluxbase_cli.config.yaml_nodes import NotYamlError, compose  # noqa: PLC0415  # start-up time

    label = str(path)
    text = read_text(SourceFile(path, label, option="--locations"))
    try:
        # Only for its bounds.
        compose(text)
        # Aliases are refused: a short file with aliases can expand to more data than fits into memory.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise _mistake(label, "aliases (`*name`) are not allowed here", "Write the values out.")
        document = yaml.safe_load(text)
    except NotYamlError as error:
        where = "" if error.position is None else f", line {error.position[0] + 1}"
        why = "this is not YAML" if error.why is None else error.why
        raise _mistake(f"{label}{where}", why, "docs/operators/locations.md has an example.") from None
    except ValueError:
        # For example 2024-13-45, which looks like a date.
        raise _mistake(label, "it has a date or a number that does not exist", "Put quotes around it.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        raise _mistake(f"{label}{where}", "this is not YAML", "docs/operators/locations.md has an example.") from None
    sections = _mapping(document, label, _SECTIONS)
    extra = tuple(_tables(sections.get("locations"), f"{label}: locations"))
    absent = tuple(_left_out(sections.get("absent"), f"{label}: absent", "table"))
    known = {table.qualified: table for table in CATALOGUE}
    for each in absent:
        if each.where not in known:
            near = get_close_matches(each.where, known, 1)
            hint = f"Did you mean {near[0]}?" if near else f"The tables are {', '.join(known)}."
            raise _mistake(f"{label}: absent", f"{each.where} is no table of Fluxbase with sealed values", hint)
    missing = {each.where for each in absent}
    releases = tuple(
        replace(table, layouts=frozenset()) if table.qualified in missing else table for table in CATALOGUE
    )
    names = [table.qualified for table in (*releases, *extra)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise _mistake(f"{label}: locations", f"{twice} is named twice, or is one of Fluxbase's own", "Remove one.")
    return SearchScope(
        (*releases, *extra), tuple(_left_out(sections.get("skip"), f"{label}: skip", "place")), absent, label
    )


def _tables(section: object, place: str) -> Iterator[SealedTable]:
    for number, item in enumerate(_list(section, place)):
        here = f"{place}[{number}]"
        fields = _mapping(item, here, _TABLE_FIELDS)
        schema, name = _qualified(fields.get("table"), f"{here}.table", 2)
        columns = tuple(_columns(fields.get("columns"), f"{here}.columns"))
        if not columns:
            raise _mistake(f"{here}.columns", "no column is named", "List the columns with sealed values.")
        yield SealedTable(
            schema,
            name,
            columns,
            user_column=_name(fields["user_column"], f"{here}.user_column") if fields.get("user_column") else None,
            flag_column=_name(fields["flag_column"], f"{here}.flag_column") if fields.get("flag_column") else None,
            extra=True,
            key=_name(fields["key"], f"{here}.key") if fields.get("key") else "id",
        )


def _columns(section: object, place: str) -> Iterator[SealedColumn]:
    for number, item in enumerate(_list(section, place)):
        here = f"{place}[{number}]"
        if isinstance(item, str):
            yield SealedColumn(_name(item, here), unsealed=Unsealed.PLAINTEXT)
            continue
        fields = _mapping(item, here, _COLUMN_FIELDS)
        form, plaintext = fields.get("form", "text"), fields.get("plaintext", True)
        if form not in ("text", "json"):
            raise _mistake(f"{here}.form", "the form is neither text nor json", "json is for columns of type jsonb.")
        if not isinstance(plaintext, bool):
            raise _mistake(f"{here}.plaintext", "this is neither true nor false", "true: values may be plaintext.")
        yield SealedColumn(
            _name(fields.get("name"), f"{here}.name"),
            form=Form(form),
            unsealed=Unsealed.PLAINTEXT if plaintext else Unsealed.DAMAGE,
        )


def _left_out(section: object, place: str, field: str) -> Iterator[LeftOut]:
    for number, item in enumerate(_list(section, place)):
        here = f"{place}[{number}]"
        fields = _mapping(item, here, (field, "reason"))
        where = ".".join(_qualified(fields.get(field), f"{here}.{field}", 2, 3 if field == "place" else 2))
        reason = fields.get("reason")
        if not isinstance(reason, str) or not reason.strip():
            raise _mistake(f"{here}.reason", "there is no reason", "Say why: it is kept with the record of a destroy.")
        yield LeftOut(where, " ".join(reason.split()))


def _list(section: object, place: str) -> list[Any]:
    if section is None:
        return []
    if not isinstance(section, list):
        raise _mistake(place, "this is no list", "Begin each entry with `- `.")
    return section


def _mapping(section: object, place: str, known: tuple[str, ...]) -> Mapping[str, Any]:
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise _mistake(place, "this is no mapping", f"Expected {', '.join(known)}.")
    for name in section:
        if name not in known:
            near = get_close_matches(str(name), known, 1)
            hint = f"Did you mean `{near[0]}`?" if near else f"Expected {', '.join(known)}."
            raise _mistake(place, f"unknown setting {str(name)[:40]!r}", hint)
    return section


def _qualified(text: object, place: str, least: int, most: int | None = None) -> tuple[str, ...]:
    parts = tuple(text.split(".")) if isinstance(text, str) else ()
    if not least <= len(parts) <= (most or least) or not all(_NAME.fullmatch(part) for part in parts):
        form = "schema.table or schema.table.column" if most and most > least else "schema.table"
        raise _mistake(place, "this is no name of a table", f"Write it as {form}.")
    return parts


def _name(text: object, place: str) -> str:
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise _mistake(place, "this is no name of a column", "Write the column's name alone.")
    return text


def _mistake(place: str, message: str, hint: str) -> ConfigurationError:
    return ConfigurationError(f"{place}: {message}", hint=hint)
