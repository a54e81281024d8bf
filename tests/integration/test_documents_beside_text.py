"""A table from the operator's file of locations, with a sealed document and a sealed text in one row."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from fluxbase_cli.catalogue.extra import read_places
from fluxbase_cli.catalogue.locations import SealedTable
from fluxbase_cli.keyring import Opener
from tests.fixtures.fluxbase import KEYS, NEW, OLD, Fluxbase, ring_of, seal

_FILE = """
locations:
  - table: crm.mailboxes
    columns:
      - name: settings
        form: json
      - name: password
        plaintext: false
    user_column: owner_id
"""


@pytest.fixture
def catalogue(flux: Fluxbase, tmp_path: Path) -> tuple[SealedTable, ...]:
    """The tables of the releases and this one, which exists."""
    flux.rows("CREATE SCHEMA crm")
    flux.rows("CREATE TABLE crm.mailboxes (id uuid PRIMARY KEY, settings jsonb, password text, owner_id uuid)")
    file = tmp_path / "places.yaml"
    file.write_text(_FILE)
    return read_places(file).catalogue


def _opened(sealed: str) -> tuple[int, str]:
    layers, plaintext = Opener(ring_of(KEYS)).open(sealed.encode())
    return layers[0].version, plaintext.decode()


@pytest.mark.parametrize("document", ["old", "new", "none", "null"])
@pytest.mark.parametrize("password", ["old", "new", "null"])
def test_both_are_moved_and_the_rest_stays_exactly_as_it_is(
    flux: Fluxbase, catalogue: tuple[SealedTable, ...], document: str, password: str
) -> None:
    keys = {"old": OLD, "new": NEW}
    sealed = seal(keys[document], "of the document") if document in keys else "nothing sealed"
    settings = None if document == "null" else json.dumps({"smtp": {"secret": sealed, "port": 1.10}})
    stored = seal(keys[password], "of the text") if password in keys else None
    row = uuid4()
    flux.rows("INSERT INTO crm.mailboxes VALUES (%s, %s, %s, NULL)", row, settings, stored)
    before = flux.rows("SELECT settings::text, password FROM crm.mailboxes")

    report = flux.run(catalogue=catalogue)

    assert (report.state, report.total.re_encrypted) == ("completed", [document, password].count("old"))
    ((settings_now, password_now),) = flux.rows("SELECT settings::text, password FROM crm.mailboxes")
    if document == "old":
        assert _opened(json.loads(settings_now)["smtp"]["secret"]) == (2, "of the document")
        assert '"port": 1.1' in settings_now
    else:
        assert settings_now == before[0][0]
    if password == "old":
        assert _opened(password_now) == (2, "of the text")
    else:
        assert password_now == before[0][1]


def test_a_writer_that_changes_only_the_text_wins(flux: Fluxbase, catalogue: tuple[SealedTable, ...]) -> None:
    """The whole row is compared, although only its document would be written."""
    document = json.dumps({"secret": seal(OLD, "of the document")})
    row = uuid4()
    flux.rows("INSERT INTO crm.mailboxes VALUES (%s, %s, %s, NULL)", row, document, seal(NEW, "early"))
    late = seal(OLD, "late")
    written: list[object] = []

    class Writer:
        def notify(self, event: object) -> None:
            """Write as soon as a batch of this table is read."""
            if getattr(event, "table", None) == "crm.mailboxes" and not written:
                written.append(flux.rows("UPDATE crm.mailboxes SET password = %s", late))

    report = flux.run(catalogue=catalogue, observer=Writer())

    assert (report.state, len(written)) == ("completed", 1)
    ((settings_now, password_now),) = flux.rows("SELECT settings::text, password FROM crm.mailboxes")
    assert _opened(json.loads(settings_now)["secret"]) == (2, "of the document")
    assert _opened(password_now) == (2, "late")
