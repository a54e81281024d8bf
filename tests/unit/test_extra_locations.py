"""The file of `--locations`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.catalogue.extra import LeftOut, read_places
from fluxbase_cli.catalogue.locations import CATALOGUE, Form, Unsealed, catalogue_digest
from fluxbase_cli.errors import ConfigurationError

_DOCUMENTED = Path(__file__).parents[2] / "docs" / "operators" / "locations.md"


def places(tmp_path: Path, text: str) -> object:
    file = tmp_path / "places.yaml"
    file.write_text(text, encoding="utf-8")
    return read_places(file)


def refused(tmp_path: Path, text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        places(tmp_path, text)
    assert str(tmp_path / "places.yaml") in caught.value.message
    assert caught.value.hint
    return caught.value


def test_the_documented_file_is_read_as_documented(tmp_path: Path) -> None:
    file = tmp_path / "places.yaml"
    file.write_text(_DOCUMENTED.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    read = read_places(file)
    credentials, mailboxes = (table for table in read.catalogue if table.extra)
    assert (credentials.qualified, credentials.key) == ("crm.credentials", "id")
    assert [column.name for column in credentials.columns] == ["api_key"]
    assert (mailboxes.user_column, mailboxes.flag_column) == ("owner_id", "is_encrypted")
    assert [(c.name, c.form, c.unsealed) for c in mailboxes.columns] == [
        ("settings", Form.JSON, Unsealed.PLAINTEXT),
        ("password", Form.TEXT, Unsealed.DAMAGE),
    ]
    assert read.skip == (LeftOut("auth.webhook_events", "old events that nobody reads"),)
    assert read.absent == (LeftOut("branching.github_config", "never used here"),)
    github = next(table for table in read.catalogue if table.qualified == "branching.github_config")
    assert not github.layouts
    assert catalogue_digest(read.catalogue) != catalogue_digest()


def test_without_a_file_the_locations_are_those_of_the_releases() -> None:
    assert read_places(None).catalogue == CATALOGUE


@pytest.mark.parametrize("text", ["", "{}", "locations:\nskip: []\n"])
def test_an_empty_file_changes_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "places.yaml"
    file.write_text(text, encoding="utf-8")
    assert read_places(file).catalogue == CATALOGUE


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[]", "this is no mapping", "locations"),
        ("location: []", "unknown setting 'location'", "Did you mean `locations`?"),
        ("locations: {}", "this is no list", "- "),
        ("locations: [{table: a.b}]", "no column is named", "List"),
        ("locations: [{table: a, columns: [c]}]", "no name of a table", "schema.table"),
        ("locations: [{table: a.b.c, columns: [c]}]", "no name of a table", "schema.table"),
        ("locations: [{table: a.b, columns: [c.d]}]", "no name of a column", "alone"),
        ("locations: [{table: a.b, columns: [3]}]", "this is no mapping", "name"),
        ("locations: [{table: a.b, columns: [{name: c, form: xml}]}]", "neither text nor json", "jsonb"),
        ("locations: [{table: a.b, columns: [{name: c, plaintext: maybe}]}]", "neither true nor false", "plaintext"),
        ("locations: [{table: auth.users, columns: [c]}]", "auth.users is named twice", "Remove"),
        ("skip: [{place: a.b}]", "there is no reason", "Say why"),
        ("skip: [{place: a, reason: r}]", "no name of a table", "schema.table.column"),
        ("absent: [{table: auth.user, reason: r}]", "auth.user is no table of Fluxbase", "Did you mean auth.users?"),
        ("a: [1", "this is not YAML", "docs/operators/locations.md"),
        ("a: &a [x]\nb: [*a, *a]", "aliases", "Write the values out"),
    ],
)
def test_a_mistake_is_reported_with_its_place_and_a_hint(tmp_path: Path, text: str, message: str, hint: str) -> None:
    error = refused(tmp_path, text)
    assert message in error.message
    assert hint in (error.hint or "")


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        read_places(tmp_path / "missing.yaml")


@given(st.text(max_size=200))
def test_every_text_gives_locations_or_an_error_of_one_line(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.mktemp("places") / "places.yaml"
    file.write_text(text, encoding="utf-8")
    message = ""
    try:
        read_places(file)
    except ConfigurationError as error:
        message = error.message
    assert "\n" not in message
