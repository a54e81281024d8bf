"""The catalogue of locations, compared with a table of what the server's releases seal."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fluxbase_cli.catalogue.locations import CATALOGUE, Form, SealedColumn, Unsealed, catalogue_digest, names_a_secret

SPECIFICATION = Path(__file__).parents[1] / "data" / "sealed-locations.md"


@dataclass(frozen=True, slots=True)
class Line:
    """One location of the specification."""

    location: str
    type: str
    sealed_when: str
    key: str


def specified() -> list[Line]:
    lines = []
    for text in SPECIFICATION.read_text(encoding="utf-8").splitlines():
        if not text.startswith("| `"):
            continue
        name, kind, sealed_when, key, _ = (cell.strip() for cell in text.strip("|").split("|"))
        first, *others = re.findall(r"`([\w.]+)`", name)
        table = first.rpartition(".")[0]
        kinds = kind.split(" / ") if " / " in kind else [kind]
        for column, its_kind in zip([first, *(f"{table}.{other}" for other in others)], kinds, strict=True):
            lines.append(Line(column, its_kind, sealed_when, key))
    return lines


LINES = specified()
COLUMNS = {table.location(column): (table, column) for table in CATALOGUE for column in table.columns}


def location_of(line: Line) -> str:
    return line.location


def test_the_specification_was_read_completely() -> None:
    heading = SPECIFICATION.read_text(encoding="utf-8").splitlines()[0]
    assert "9 tables, 11 columns" in heading
    assert len({line.location.rpartition(".")[0] for line in LINES}) == 9
    assert len(LINES) == 11


def test_the_catalogue_is_exactly_the_specification() -> None:
    assert set(COLUMNS) == {line.location for line in LINES}
    assert len({table.qualified for table in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize("line", LINES, ids=location_of)
def test_each_column_is_declared_as_specified(line: Line) -> None:
    table, column = COLUMNS[line.location]
    assert (column.form is Form.JSON) == line.type.startswith("jsonb")
    assert (column.unsealed is Unsealed.PLAINTEXT) == ("legacy" in line.sealed_when)
    assert (not column.empty_is_unset) == line.sealed_when.startswith("always")
    assert (table.user_column == "user_id") == ("HKDF" in line.key)
    assert (table.flag_column == "is_encrypted") == ("is_encrypted" in line.sealed_when)
    assert table.user_column in (None, "user_id")
    assert table.flag_column in (None, "is_encrypted")


def test_the_page_about_the_format_lists_every_column_once_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "developers" / "format.md").read_text(encoding="utf-8")
    section = page.partition("## Where sealed values are")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `([\w.]+)` \|", section, re.MULTILINE)) == sorted(COLUMNS)


def test_the_history_needs_the_table_that_it_is_the_history_of() -> None:
    assert {table.qualified: table.parent for table in CATALOGUE if table.parent} == {
        "functions.secret_versions": "functions.secrets"
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("email", "smtp_password"), True),
        (("email", "sendgrid_api_key"), True),
        (("email", "mailgun_api_key"), True),
        (("email", "ses_access_key"), True),
        (("email", "ses_secret_key"), True),
        (("a", "b", "clientSecret"), True),
        (("API_KEY",), True),
        (("Password2",), True),
        (("accessTokens", "0"), True),
        (("api_keys", "3", "7"), True),
        (("monkey",), True),
        (("secrets", "name"), False),
        (("password", "hint"), False),
        (("email", "from"), False),
        (("email", "smtp_host"), False),
        (("0",), False),
        (("",), False),
        ((), False),
    ],
)
def test_a_path_names_a_secret_by_its_last_name(path: tuple[str, ...], expected: bool) -> None:  # noqa: FBT001
    assert names_a_secret(path) is expected


def test_the_digest_changes_with_every_line() -> None:
    digests = {catalogue_digest(), catalogue_digest(CATALOGUE[1:]), catalogue_digest(CATALOGUE[::-1])}
    first, *others = CATALOGUE
    digests.add(catalogue_digest((replace(first, columns=(SealedColumn("encrypted_value"),)), *others)))
    assert len(digests) == 4
    assert catalogue_digest() == catalogue_digest(tuple(CATALOGUE))
