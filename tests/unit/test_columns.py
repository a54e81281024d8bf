"""Lists: the columns that were named, CSV that no spreadsheet obeys, and ids to pipe."""

from __future__ import annotations

import csv

import pytest

from fluxbase_cli.cli.listing import chosen_columns
from fluxbase_cli.cli.options import Options, Output
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.report.columns import Column, Listing

_Row = tuple[str, int | None]
_LIST: Listing[_Row] = Listing(
    (
        Column("first_name", lambda row: row[0]),
        Column("number", lambda row: row[1], right=True),
        Column("seen", lambda row: row[1] is not None, shown=False),
    ),
    lambda row: row[0],
)
_ROWS: list[_Row] = [("anna", 7), ("bob", None)]


def test_a_table_has_the_columns_that_are_shown_or_those_that_were_named_in_their_order() -> None:
    assert list(_LIST.table(_ROWS)) == ["FIRST NAME  NUMBER", "anna             7", "bob              -"]
    assert list(_LIST.table(_ROWS, _LIST.choose("seen, First-Name,seen"))) == [
        "SEEN   FIRST NAME",
        "true   anna",
        "false  bob",
    ]


@pytest.mark.parametrize("names", ["", " , "])
def test_naming_no_column_lists_the_columns(names: str) -> None:
    with pytest.raises(ConfigurationError, match="names no column") as caught:
        _LIST.choose(names)
    assert caught.value.hint == "The columns are: first_name, number, seen."


def test_an_unknown_column_is_named_and_the_columns_are_listed() -> None:
    with pytest.raises(ConfigurationError, match="there is no column 'age'") as caught:
        _LIST.choose("number,age")
    assert caught.value.hint == "The columns are: first_name, number, seen."


def test_csv_has_all_columns_with_the_values_as_in_json() -> None:
    assert list(_LIST.csv(_ROWS)) == ["first_name,number,seen", "anna,7,true", "bob,,false"]
    assert list(_LIST.csv(_ROWS, _LIST.choose("number"))) == ["number", "7", '""']


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ('say "no", then\nrun', 'say "no", then\\nrun'),
        ("\x1b[2J", "\\x1b[2J"),
        ("\ttab", "\\ttab"),
        ("Jürgen 日本", "Jürgen 日本"),
    ],
)
def test_hostile_text_is_neither_a_formula_nor_a_line_nor_an_escape(name: str, cell: str) -> None:
    lines = list(_LIST.csv([(name, -5)]))
    assert len(lines) == 2
    # A number may begin with a minus: nobody can put a formula there.
    assert list(csv.reader(lines))[1] == [cell, "-5", "true"]


def test_ids_are_one_on_a_line_and_not_repeated_one_after_the_other() -> None:
    rows: list[_Row] = [("a", 1), ("a", 2), ("b\nc", 3), ("a", 4)]
    assert list(_LIST.id_lines(rows)) == ["a", "b\\nc", "a"]


@pytest.mark.parametrize("output", [Output.JSON, Output.YAML, Output.NAME])
def test_columns_are_refused_where_there_are_none(output: Output) -> None:
    with pytest.raises(ConfigurationError, match=f"--columns and -o {output} can't go together"):
        chosen_columns(Options(output=output), _LIST, "number")
    assert chosen_columns(Options(output=output), _LIST, None) is None
