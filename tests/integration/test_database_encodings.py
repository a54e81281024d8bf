"""Does every command work in a database of any encoding, with names, reasons and bytes that look strange elsewhere?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from fluxbase_cli.catalogue.extra import read_places
from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.demo.tables import create_tables
from fluxbase_cli.engine.observe.status import job_details
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.store.records import JobKind
from tests.fixtures.comparing import spots
from tests.fixtures.deep_audit import found, search
from tests.fixtures.fluxbase import DOCUMENTS, NEW, OLD, SECRETS, STRANGER, Fluxbase, Spot, open_all, seal

#: Only Unicode has all of these characters.
REASON = "clé perdue! Ключ утёк, 鍵が漏れた € 😀"

#: For each encoding a word that a database of it can hold, as its bytes. The bytes of SQL_ASCII are no UTF-8, those of
#: WIN1252 and EUC_JP are no text in their encoding, and the server can't convert them.
WORDS = {
    "LATIN1": "clé",
    "KOI8R": "ключ",
    "EUC_JP": "鍵\udca9\udca1",
    "SQL_ASCII": "cl\udce9\udcff",
    "WIN1252": "clé€\udc81",
    "EUC_TW": "key",
}
#: Python's names. It does not know EUC_TW.
_CODECS = {
    "LATIN1": "latin-1",
    "KOI8R": "koi8-r",
    "EUC_JP": "euc_jp",
    "SQL_ASCII": "utf-8",
    "WIN1252": "cp1252",
    "EUC_TW": "ascii",
}


@contextmanager
def database_of(flux: Fluxbase, encoding: str) -> Iterator[Fluxbase]:
    """A Fluxbase database of that encoding. The test's own sessions use ASCII only."""
    name = f"{flux.value('SELECT current_database()')}_{encoding.lower()}"
    flux.rows(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    # With LATIN1, the test gets every byte of a database without an encoding as a character.
    client = "LATIN1" if encoding == "SQL_ASCII" else "UTF8"
    other = Fluxbase(flux.url.rpartition("/")[0] + f"/{name}?client_encoding={client}")
    try:
        with psycopg.connect(other.url) as connection:
            create_tables(connection)
        yield other
    finally:
        other.close()
        flux.rows(f'DROP DATABASE "{name}" WITH (FORCE)')


def run_raw(flux: Fluxbase, encoding: str, statement: str) -> None:
    """Run a statement in the bytes of the database's encoding."""
    with flux.connect() as connection:
        connection.execute("SELECT set_config('client_encoding', 'SQL_ASCII', false)")
        connection.execute(statement.encode(_CODECS[encoding], "surrogateescape"))


@pytest.mark.parametrize("encoding", WORDS)
def test_a_rotation_and_the_way_back_work_in_a_database_of_any_encoding(
    flux: Fluxbase, encoding: str, tmp_path: Path
) -> None:
    word, sealed = WORDS[encoding], [seal(OLD, f"text {number}") for number in range(6)]
    places = tmp_path / "locations.yaml"
    places.write_text("locations:\n  - table: app.words\n    key: word\n    columns: [{name: text}]\n")
    with database_of(flux, encoding) as other:
        rows = other.secrets(4)
        ours = DatabaseSettings.from_url(other.url.partition("?")[0], "the test")
        document = json.dumps({word: {"secret": sealed[0], "key": seal(STRANGER, "?")}}, ensure_ascii=False)
        child = f'functions."{word}%"'
        run_raw(
            other,
            encoding,
            f"INSERT INTO platform.instance_settings (settings) VALUES ('{document}');"
            f"CREATE TABLE {child} () INHERITS (functions.secrets);"
            f"INSERT INTO {child} (name, encrypted_value, scope) VALUES ('x', '{sealed[1]}', 'global');"
            f"UPDATE functions.secrets SET encrypted_value = '{word}' WHERE id = '{rows[0]}';"
            "CREATE TABLE app.words (word text PRIMARY KEY, text text NOT NULL);"
            f"INSERT INTO app.words VALUES ('{word}', '{sealed[2]}'), ('{word}2', '{word}')",
        )
        report = other.run(database=ours, reason=REASON, catalogue=read_places(places).catalogue)
        assert (report.state, report.error, report.exit_code) == ("completed", None, ExitCode.UNDECRYPTABLE_LEFT)
        assert (report.total.re_encrypted, report.total.undecryptable) == (6, 2)
        assert Spot(SECRETS, rows[0], ()) in spots(report)
        assert {entry.path for entry in report.quarantine if entry.location == DOCUMENTS} == {(word, "key")}
        audit = other.audit(1, database=ours)
        assert (audit.found, audit.unexamined) == (0, ())
        assert all(1 not in versions for versions in found(search(ours)).values())
        moved = other.value("SELECT text FROM app.words WHERE word NOT LIKE '%%2'")
        assert open_all(moved, {2: NEW}).text == b"text 2"
        back = other.run(database=ours, kind=JobKind.ROLLBACK, source=None, target=1, reason=REASON)
        assert (back.state, back.total.re_encrypted) == ("completed", 5)
        assert back.job is not None
        details = job_details(ours, back.job)
        assert details.summary.job.reason == details.events[0].reason == stored(encoding)


def stored(encoding: str) -> str:
    """The reason as that database can hold it."""
    return REASON.encode(_CODECS[encoding], "backslashreplace").decode(_CODECS[encoding])
