"""Does a deep audit search databases in any encoding, and bytes that are not text?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.fixtures.deep_audit import found, search
from tests.fixtures.fluxbase import OLD, Fluxbase, seal


@contextmanager
def database_of(flux: Fluxbase, encoding: str) -> Iterator[str]:
    name = f"{flux.value('SELECT current_database()')}_{encoding.lower()}"
    flux.rows(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    try:
        yield flux.url.rpartition("/")[0] + f"/{name}"
    finally:
        flux.rows(f"DROP DATABASE {name} WITH (FORCE)")


def test_bytes_that_are_not_text_in_a_database_without_encoding_cause_no_error(flux: Fluxbase) -> None:
    with database_of(flux, "SQL_ASCII") as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET client_encoding = 'SQL_ASCII'")
            connection.execute(b'CREATE TABLE "t\xff" (n int, c text, d text[], e jsonb)')
            text = seal(OLD, "x").encode()
            connection.execute(
                b'INSERT INTO "t\xff" VALUES (1, E\'\\xff\\xfe '
                + text
                + b" \\xe9', E'{\"\\xc3\\x28 "
                + text
                + b"\"}', NULL)"
            )
        findings = search(url)
        assert found(findings) == {"public.t\\xff.c": {1: 1}, "public.t\\xff.d": {1: 1}}
        assert findings.unexamined == ()


def test_a_database_in_latin_1_is_searched(flux: Fluxbase) -> None:
    with database_of(flux, "LATIN1") as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute('CREATE TABLE "Größe" ("Maß" text, doc jsonb)')
            connection.execute(
                'INSERT INTO "Größe" VALUES (%s, %s)',
                [f"für {seal(OLD, 'x')}é", json.dumps({"ü": seal(OLD, "y")}, ensure_ascii=False)],
            )
        assert found(search(url)) == {"public.Größe.Maß": {1: 1}, "public.Größe.doc": {1: 1}}
