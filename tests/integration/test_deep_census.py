"""The deep census: whatever opens is found, in every kind of column; what can't be read is said."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.events import BatchDone, Event, NullObserver, PassStarted
from fluxbase_cli.engine.retry import retry_transient
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import DatabaseError
from fluxbase_cli.keyring import Key, Keyring
from fluxbase_cli.proof import searching
from fluxbase_cli.proof.columns import DeepResult, search_columns
from fluxbase_cli.store import deep_reading
from fluxbase_cli.store.transactions import Access
from tests.fixtures.command import until
from tests.fixtures.fluxbase import (
    COLUMNS,
    KEYS,
    NEW,
    OLD,
    STRANGER,
    Fluxbase,
    Role,
    Watching,
    break_lines,
    open_all,
    seal,
)
from tests.fixtures.standby import Standby

T = "plugin.t"
RING = Keyring(tuple(Key(version, secret) for version, secret in KEYS.items()))


def search(database: Fluxbase | DatabaseSettings | str, **options: Any) -> DeepResult:
    """The deep census, with what most tests leave as it is."""
    if isinstance(database, Fluxbase):
        database = database.url
    if isinstance(database, str):
        database = DatabaseSettings.from_url(database, "the test")
    options = {
        "known": frozenset(),
        "skip": frozenset(),
        "workers": 2,
        "stop": Stop(),
        "observer": NullObserver(),
        "access": Access(),
        **options,
    }
    access = options.pop("access")
    return search_columns(database, access, RING, **options)


def found(findings: DeepResult) -> dict[str, dict[int, int]]:
    """How many values need each key, by location."""
    return {location: dict(tally.by_version()) for location, tally in findings.locations.items()}


def ask_as_superuser(flux: Fluxbase, *statements: str) -> None:
    with flux.connect() as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def plugin(flux: Fluxbase) -> Fluxbase:
    """A database with a schema of a plugin."""
    flux.rows("CREATE SCHEMA plugin")
    return flux


def put(flux: Fluxbase, type_: str, value: Any, expression: str = "%s", columns: str = "") -> None:
    """A table with one column `c` of a type, with a row before and behind the one that counts."""
    ask_as_superuser(
        flux, f"CREATE TABLE {T} (n int PRIMARY KEY, c {type_}{columns})", f"INSERT INTO {T} (n) VALUES (1)"
    )
    flux.rows(f"INSERT INTO {T} (n, c) VALUES (2, {expression})", value)
    flux.rows(f"INSERT INTO {T} (n) VALUES (3)")


# --- kinds of columns ---------------------------------------------------------------------------------------------

TYPES: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "text": ("text", str, "%s"),
    "varchar": ("varchar(300)", str, "%s"),
    "char": ("char(300)", str, "%s"),
    "name": ("name", str, "%s"),
    "another collation": ('text COLLATE "C"', str, "%s"),
    "json": ("json", lambda text: json.dumps({"a": [text]}), "%s"),
    "jsonb": ("jsonb", lambda text: json.dumps({"a": [text]}), "%s"),
    "a key of jsonb": ("jsonb", lambda text: json.dumps({"a": {text: 1}}), "%s"),
    "bytea with a text": ("bytea", str.encode, "%s"),
    "bytea with JSON": ("bytea", lambda text: json.dumps({"a": text.replace("/", "\\/")}).encode(), "%s"),
    "bytea with a decoded seal": ("bytea", base64.b64decode, "%s"),
    "long bytea with a text": ("bytea", lambda text: os.urandom(9_000) + b'"' + text.encode() + b'"\xff', "%s"),
    "text array": ("text[]", lambda text: ["x", text, None], "%s"),
    "two dimensions": ("text[]", lambda text: [["x", "y"], [text, "z"]], "%s"),
    "varchar array": ("varchar(300)[]", lambda text: [text], "%s::varchar[]"),
    "json array": ("json[]", lambda text: [json.dumps({"a": text})], "%s::json[]"),
    "jsonb array": ("jsonb[]", lambda text: [json.dumps({"a": text})], "%s::jsonb[]"),
    "bytea array with texts": ("bytea[]", lambda text: [text.encode()], "%s"),
    "bytea array with decoded seals": ("bytea[]", lambda text: [base64.b64decode(text)], "%s"),
    "domain": ("plugin.words", str, "%s"),
    "domain of a domain": ("plugin.few_words", str, "%s"),
    "domain of an array": ("plugin.lists", lambda text: [text], "%s"),
    "array of a domain": ("plugin.words[]", lambda text: [text], "%s::plugin.words[]"),
    "composite type": ("plugin.pair", str, "ROW('x', %s, NULL)::plugin.pair"),
    "bytea in a composite type": ("plugin.pair", str.encode, "ROW('x', NULL, %s)::plugin.pair"),
    "array of a composite type": ("plugin.pair[]", str, "ARRAY[ROW('x', %s, NULL)::plugin.pair]"),
}


@pytest.mark.parametrize("kind", TYPES)
def test_a_seal_is_found_in_every_type_of_column(plugin: Fluxbase, kind: str) -> None:
    ask_as_superuser(
        plugin,
        "CREATE DOMAIN plugin.words AS text CHECK (VALUE <> '')",
        "CREATE DOMAIN plugin.few_words AS plugin.words CHECK (length(VALUE) < 400)",
        "CREATE DOMAIN plugin.lists AS text[]",
        "CREATE TYPE plugin.pair AS (a text, b text, c bytea)",
    )
    type_, made, expression = TYPES[kind]
    put(plugin, type_, made(seal(OLD, b"\x00")), expression)
    findings = search(plugin)
    assert found(findings) == {f"{T}.c": {1: 1}}
    assert findings.examples == {f"{T}.c": ("2 (ctid (0,2))",)}
    assert findings.unexamined == ()


@pytest.mark.parametrize(("extension", "expression"), [("citext", "%s"), ("hstore", "hstore('a', %s)")])
def test_a_seal_is_found_in_the_types_of_extensions(plugin: Fluxbase, extension: str, expression: str) -> None:
    if not plugin.rows("SELECT FROM pg_available_extensions WHERE name = %s", extension):
        pytest.skip(f"this server has no {extension}")
    plugin.rows(f"CREATE EXTENSION {extension}")
    put(plugin, extension, seal(OLD, "x"), expression)
    assert found(search(plugin)) == {f"{T}.c": {1: 1}}


def test_a_seal_is_found_in_xml(plugin: Fluxbase) -> None:
    try:
        put(plugin, "xml", f"<a>{seal(OLD, 'x')}</a>", "%s::xml")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this server was built without XML")
    assert found(search(plugin)) == {f"{T}.c": {1: 1}}


def test_text_with_a_collation_that_refuses_regular_expressions_is_searched(plugin: Fluxbase) -> None:
    try:
        plugin.rows("CREATE COLLATION plugin.any_case (provider = icu, locale = 'und', deterministic = false)")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this server was built without ICU")
    put(plugin, "text COLLATE plugin.any_case", f"a word {seal(OLD, 'x')}")
    assert found(search(plugin)) == {f"{T}.c": {1: 1}}


# --- ways in which a seal stands in a value -----------------------------------------------------------------------

WAYS: dict[str, Callable[[str], str]] = {
    "alone": str,
    "with line breaks": break_lines,
    "a line of a log": lambda text: f"2026-01-01 WARN sealed={text}, next",
    "a path": lambda text: f"/secrets/{text}",
    "JSON with escaped slashes": lambda text: json.dumps({"a": text}).replace("/", "\\/"),
    "JSON with escaped signs": lambda text: json.dumps({"a": text}).replace("+", "\\u002b").replace("/", "\\u002F"),
    "JSON of escapes alone": lambda text: '{"a": "' + "".join(f"\\u{ord(c):04x}" for c in text) + '"}',
    "JSON within JSON": lambda text: json.dumps({"a": json.dumps({"b": json.dumps([text]).replace("/", "\\/")})}),
    "JSON with line breaks": lambda text: json.dumps({"a": break_lines(text)}),
    "a form": lambda text: "grant=x&token=" + text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
    "bytea as it is printed": lambda text: json.dumps({"body": "\\x" + text.encode().hex()}),
    "a decoded seal as it is printed": lambda text: "\\x" + base64.b64decode(text).hex(),
    "a long text": lambda text: "The customer called at noon. " * 3_000 + text + " The customer called." * 3_000,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("type_", ["text", "jsonb", "bytea", "text[]"])
def test_a_seal_is_found_however_it_stands_in_a_value(plugin: Fluxbase, way: str, type_: str) -> None:
    plain = seal(OLD, "with + and /")
    while not {"+", "/"} <= set(plain):
        plain = seal(OLD, "with + and /")
    value: Any = WAYS[way](plain)
    if type_ == "jsonb":
        value = json.dumps({"text": value})
    elif type_ == "bytea":
        value = value.encode()
    elif type_ == "text[]":
        value = ["x", value]
    put(plugin, type_, value)
    assert found(search(plugin)) == {f"{T}.c": {1: 1}}


def test_two_keys_and_double_seals_count_for_each_of_their_keys(plugin: Fluxbase) -> None:
    put(plugin, "text", f"{seal(OLD, 'a')} {seal(NEW, 'b')} {seal(NEW, seal(OLD, 'c'))} {seal(STRANGER, 'd')}")
    assert found(search(plugin)) == {f"{T}.c": {1: 2, 2: 2}}


@pytest.mark.parametrize(
    ("columns", "value"),
    [
        ("owner uuid", "{}"),
        ("other uuid DEFAULT gen_random_uuid(), owner uuid", "{}"),
        ("owner text", "{}"),
        ("owner varchar(100)", "user {} of the tenant"),
        ("owner jsonb", '{{"user": {{"id": "{}"}}}}'),
        ("owner uuid[]", "{{{}}}"),
        ("owner text[]", "{{x,{}}}"),
    ],
)
@pytest.mark.parametrize("is_bytes", [False, True])
def test_the_key_of_a_user_whom_the_row_names_is_tried(
    plugin: Fluxbase,
    columns: str,
    value: str,
    is_bytes: bool,  # noqa: FBT001
) -> None:
    user = uuid4()
    put(plugin, "bytea" if is_bytes else "text", None, columns=f", {columns}")
    sealed: str | bytes = seal(OLD, "of a user", user)
    plugin.rows(
        f"INSERT INTO {T} (n, c, owner) VALUES (4, %s, %s)",
        base64.b64decode(sealed) if is_bytes else sealed,
        value.format(user),
    )
    plugin.rows(
        f"INSERT INTO {T} (n, c, owner) VALUES (5, %s, %s)",
        seal(OLD, "x", uuid4()).encode() if is_bytes else seal(OLD, "x", uuid4()),
        value.format(uuid4()),
    )
    assert found(search(plugin)) == {f"{T}.c": {1: 1}}


# --- tables -------------------------------------------------------------------------------------------------------


def test_partitions_and_inheriting_tables_are_searched_each_for_itself(plugin: Fluxbase) -> None:
    ask_as_superuser(
        plugin,
        "CREATE TABLE plugin.part (n int, c text) PARTITION BY LIST (n)",
        "CREATE TABLE plugin.part_1 PARTITION OF plugin.part FOR VALUES IN (1)",
        "CREATE TABLE plugin.part_2 PARTITION OF plugin.part FOR VALUES IN (2) PARTITION BY LIST (n)",
        "CREATE TABLE plugin.part_2_2 PARTITION OF plugin.part_2 FOR VALUES IN (2)",
        "CREATE TABLE plugin.parent (n int, c text)",
        "CREATE TABLE plugin.child (more text) INHERITS (plugin.parent)",
    )
    plugin.rows("INSERT INTO plugin.part VALUES (1, %s), (2, %s)", seal(OLD, "1"), seal(OLD, "2"))
    plugin.rows("INSERT INTO plugin.parent VALUES (1, %s)", seal(OLD, "3"))
    plugin.rows("INSERT INTO plugin.child VALUES (1, %s, %s)", seal(OLD, "4"), seal(NEW, "5"))
    everything = {
        "plugin.part_1.c": {1: 1},
        "plugin.part_2_2.c": {1: 1},
        "plugin.parent.c": {1: 1},
        "plugin.child.c": {1: 1},
        "plugin.child.more": {2: 1},
    }
    assert found(search(plugin)) == everything
    # Who leaves a partitioned table out leaves out its partitions, and nothing else.
    del everything["plugin.part_2_2.c"]
    assert found(search(plugin, skip=frozenset({"plugin.part_2"}))) == everything
    del everything["plugin.part_1.c"]
    assert found(search(plugin, skip=frozenset({"plugin.part.c"}))) == everything


def test_materialized_views_are_searched_and_views_and_foreign_tables_are_not(plugin: Fluxbase) -> None:
    put(plugin, "text", seal(OLD, "x"))
    ask_as_superuser(
        plugin,
        f"CREATE MATERIALIZED VIEW plugin.kept AS SELECT c FROM {T}",
        f"CREATE MATERIALIZED VIEW plugin.never_filled AS SELECT c FROM {T} WITH NO DATA",
        f"CREATE VIEW plugin.seen AS SELECT c FROM {T}",
        "CREATE FOREIGN DATA WRAPPER elsewhere",
        "CREATE SERVER elsewhere FOREIGN DATA WRAPPER elsewhere",
        "CREATE FOREIGN TABLE plugin.far (c text) SERVER elsewhere",
        f"DELETE FROM {T}",
    )
    findings = search(plugin)
    assert found(findings) == {"plugin.kept.c": {1: 1}}
    assert findings.unexamined == ()


def test_names_of_any_kind_and_dropped_and_generated_columns_do_no_harm(plugin: Fluxbase) -> None:
    ask_as_superuser(
        plugin,
        'CREATE TABLE plugin."100%% ""sure"" %s" (gone text, "a ""b"" %%s %(x)s" text, "ключ" jsonb, "{c}" text,'
        " made text GENERATED ALWAYS AS ('made ' || \"{c}\") STORED)",
        'ALTER TABLE plugin."100%% ""sure"" %s" DROP COLUMN gone',
        'CREATE TABLE plugin."Ünïcode" ("Ä" text)',
    )
    texts = [seal(OLD, str(number)) for number in range(4)]
    with plugin.connect() as connection:
        connection.execute(
            'INSERT INTO plugin."100%%%% ""sure"" %%s" VALUES (%s, %s, %s)', [texts[0], json.dumps(texts[1]), texts[2]]
        )
        connection.execute('INSERT INTO plugin."Ünïcode" VALUES (%s)', [texts[3]])
    assert found(search(plugin)) == {
        'plugin.100%% "sure" %s.a "b" %%s %(x)s': {1: 1},
        'plugin.100%% "sure" %s.ключ': {1: 1},
        'plugin.100%% "sure" %s.{c}': {1: 1},
        'plugin.100%% "sure" %s.made': {1: 1},
        "plugin.Ünïcode.Ä": {1: 1},
    }


def test_known_columns_and_what_the_operator_leaves_out_are_not_searched(plugin: Fluxbase) -> None:
    put(plugin, "text", seal(OLD, "x"), columns=", d text")
    plugin.rows(f"UPDATE {T} SET d = %s", seal(NEW, "y"))
    assert found(search(plugin, known=frozenset({f"{T}.c"}))) == {f"{T}.d": {2: 3}}
    assert found(search(plugin, skip=frozenset({f"{T}.d"}))) == {f"{T}.c": {1: 1}}
    assert found(search(plugin, skip=frozenset({T}))) == {}
    assert search(plugin, skip=frozenset({T})).tables == search(plugin).tables - 1
    assert search(plugin, known=frozenset({f"{T}.c"})).columns == search(plugin).columns - 1


def test_our_own_tables_are_not_searched(plugin: Fluxbase) -> None:
    for schema in ("fluxbase_rotation", "fluxbase_keys"):
        ask_as_superuser(plugin, f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.t (c text)")
        plugin.rows(f"INSERT INTO {schema}.t VALUES (%s)", seal(OLD, "x"))
    ask_as_superuser(plugin, "CREATE SCHEMA fluxbase_rotation_2", "CREATE TABLE fluxbase_rotation_2.t (c text)")
    plugin.rows("INSERT INTO fluxbase_rotation_2.t VALUES (%s)", seal(OLD, "x"))
    assert found(search(plugin)) == {"fluxbase_rotation_2.t.c": {1: 1}}


# --- all of a database --------------------------------------------------------------------------------------------


def test_the_residue_in_fluxbases_own_tables_is_found(full: Fluxbase) -> None:
    findings = search(full, known=frozenset(COLUMNS))
    assert found(findings) == {
        location: {1: 1}
        for location in (
            "auth.saml_providers.private_key",
            "ai.user_provider_preferences.api_key_encrypted",
            "ai.providers.config",
            "auth.mfa_factors.secret",
            "auth.webhooks.secret",
            "auth.webhook_events.old_data",
            "platform.idempotency_keys.response_body",
        )
    }
    assert findings.unexamined == ()


def independently(flux: Fluxbase) -> dict[str, Counter[int]]:
    """What opens in the columns of a Fluxbase database: every string of every value, and every uuid of its row."""
    counts: dict[str, Counter[int]] = {}
    with flux.connect() as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, table in tables:
            cursor = connection.execute(f'SELECT * FROM "{schema}"."{table}"'.encode())
            names = [column.name for column in cursor.description or ()]
            for row in cursor:
                users: list[UUID | None] = [None, *(each for each in row if isinstance(each, UUID))]
                for name, value in zip(names, row, strict=True):
                    texts = set(_strings(value.decode("latin-1") if isinstance(value, bytes) else value))
                    for text in texts:
                        opened = max((open_all(text, KEYS, user).versions for user in users), key=len)
                        for version in set(opened):
                            counts.setdefault(f"{schema}.{table}.{name}", Counter())[version] += 1
    return counts


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value.replace("\r", "").replace("\n", "")
    elif isinstance(value, dict):
        for each in (*value, *value.values()):
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)


def test_an_independent_reader_counts_the_same(full: Fluxbase) -> None:
    counted = independently(full)
    assert sum(sum(each.values()) for each in counted.values()) > 100
    assert found(search(full)) == {location: dict(each) for location, each in counted.items()}


@pytest.mark.parametrize("rows_a_page", [1, 7, 5_000])
def test_a_table_where_every_row_matches_is_counted_to_the_row(
    flux: Fluxbase, monkeypatch: pytest.MonkeyPatch, rows_a_page: int
) -> None:
    monkeypatch.setattr(deep_reading, "ROWS_A_PAGE", rows_a_page)
    flux.secrets(600)
    flux.secrets(150, NEW)
    flux.rows("DELETE FROM functions.secrets WHERE id IN (SELECT id FROM functions.secrets LIMIT 50)")
    counted = independently(flux)["functions.secrets.encrypted_value"]
    assert counted.total() == 700
    assert found(search(flux)) == {"functions.secrets.encrypted_value": dict(counted)}


def test_a_table_of_many_pieces_is_read_once_by_all_threads_together(
    plugin: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxbase_cli.proof.columns._MIN_PIECE_BYTES", 16 * 1024)
    monkeypatch.setattr("fluxbase_cli.proof.columns._MAX_PIECE_BYTES", 16 * 1024)
    put(plugin, "text", None)
    with plugin.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {T} (n, c) VALUES (%s, %s)".encode(),
            [
                (number + 10, f"{'word ' * 20}{seal(OLD, str(number)) if number % 5 == 0 else ''}")
                for number in range(2_000)
            ],
        )
    watching = Watching()
    assert found(search(plugin, workers=4, observer=watching)) == {f"{T}.c": {1: 400}}
    started = [event for event in watching.events if isinstance(event, PassStarted)]
    done = [event for event in watching.events if isinstance(event, BatchDone)]
    assert [event.rows for event in started] == [{"deep audit.pages": sum(event.rows for event in done)}]
    assert len(done) > 20


def test_no_false_find_among_many_random_texts(plugin: Fluxbase) -> None:
    ask_as_superuser(
        plugin,
        f"CREATE TABLE {T} (id uuid DEFAULT gen_random_uuid(), a text, b text, c bytea, d jsonb)",
        f"INSERT INTO {T} (a, b, c, d) SELECT"
        " encode(sha256(n::text::bytea), 'base64'), encode(sha256(n::text::bytea), 'hex'), sha256(n::text::bytea),"
        " jsonb_build_object('x', encode(sha512(n::text::bytea), 'base64')) FROM generate_series(1, 3000) AS n",
    )
    findings = search(plugin)
    assert (found(findings), findings.unexamined) == ({}, ())


def test_a_value_of_tens_of_megabytes_is_searched(plugin: Fluxbase) -> None:
    put(plugin, "text", None, columns=", d jsonb, e bytea")
    words = "The customer called at noon. " * 1_400_000
    text = f"{words} {seal(OLD, 'in the midst')} {words[:1_000_000]}"
    document = json.dumps({"a": words[:20_000_000], "b": seal(OLD, "in a document")})
    data = os.urandom(17_000_000) + b" " + seal(OLD, "in bytes").encode()
    plugin.rows(f"UPDATE {T} SET c = %s, d = %s, e = %s WHERE n = 2", text, document, data)
    assert found(search(plugin)) == {f"{T}.c": {1: 1}, f"{T}.d": {1: 1}, f"{T}.e": {1: 1}}


_MEASURED = """
import os
from pathlib import Path
from tests.integration.test_deep_census import found, search

def peak():
    # The system's other measure also knows the peak of the process that started this one.
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024

before = peak()
findings = search(os.environ["FLUXBASE_TEST_URL"], workers=4)
print(found(findings)["plugin.t.c"][1], peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell a process's peak memory")
def test_memory_stays_flat_where_every_row_is_large_and_matches(plugin: Fluxbase) -> None:
    put(plugin, "text", None)
    plugin.rows(
        f"INSERT INTO {T} SELECT n, repeat('a word ', CASE WHEN n < 31 THEN 900000 ELSE 500 END) || %s"
        " FROM generate_series(11, 3010) AS n",
        seal(OLD, "x"),
    )
    # 126 MB in 20 values, and 10 MB in 2,980.
    environment = os.environ | {"FLUXBASE_TEST_URL": plugin.url}
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED], env=environment, check=True, capture_output=True, text=True
    )
    number, megabytes = map(int, done.stdout.split())
    assert number == 3_000
    # Measured: 78, of 136 MB that are read.
    assert megabytes < 100


def test_a_seal_of_many_megabytes_is_opened(plugin: Fluxbase) -> None:
    put(plugin, "text", seal(OLD, os.urandom(9_000_000)))
    assert found(search(plugin)) == {f"{T}.c": {1: 1}}


# --- encodings ----------------------------------------------------------------------------------------------------


@contextmanager
def database_of(flux: Fluxbase, encoding: str) -> Iterator[str]:
    name = f"{flux.value('SELECT current_database()')}_{encoding.lower()}"
    flux.rows(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    try:
        yield flux.url.rpartition("/")[0] + f"/{name}"
    finally:
        flux.rows(f"DROP DATABASE {name} WITH (FORCE)")


def test_bytes_that_are_no_text_in_a_database_without_encoding_do_no_harm(flux: Fluxbase) -> None:
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


# --- what can't be read -------------------------------------------------------------------------------------------


def test_a_table_that_the_role_may_not_read_is_said(plugin: Fluxbase, role: Role) -> None:
    put(plugin, "text", seal(OLD, "x"))
    ask_as_superuser(
        plugin,
        "CREATE TABLE plugin.open (c text)",
        f"CREATE TABLE plugin.by_column (n int, c text); GRANT SELECT (c) ON plugin.by_column TO {role.name}",
        f"GRANT USAGE ON SCHEMA plugin TO {role.name}",
        f"GRANT SELECT ON plugin.open TO {role.name}",
        "CREATE SCHEMA closed",
        f"CREATE TABLE closed.t (c text); GRANT SELECT ON closed.t TO {role.name}",
        "CREATE TABLE plugin.numbers (n int)",
    )
    plugin.rows("INSERT INTO plugin.open VALUES (%s)", seal(OLD, "x"))
    findings = search(role.database)
    assert found(findings) == {"plugin.open.c": {1: 1}}
    where = {each.where for each in findings.unexamined}
    assert {T, "plugin.by_column", "closed.t", "functions.secrets"} <= where
    assert not {"plugin.open", "plugin.numbers"} & where
    assert {each.kind.value for each in findings.unexamined} == {"column"}
    # What is left out on purpose needs no privilege.
    assert T not in {each.where for each in search(role.database, skip=frozenset({T})).unexamined}


def test_rows_that_a_policy_hides_are_an_error_and_no_gap(plugin: Fluxbase, role: Role) -> None:
    put(plugin, "text", seal(OLD, "x"))
    ask_as_superuser(
        plugin,
        f"GRANT USAGE ON SCHEMA plugin TO {role.name}",
        f"GRANT SELECT ON {T} TO {role.name}",
        f"ALTER TABLE {T} ENABLE ROW LEVEL SECURITY",
    )
    findings = search(role.database)
    assert found(findings) == {}
    assert T in {each.where for each in findings.unexamined}


def test_the_role_of_the_access_reads(plugin: Fluxbase, role: Role) -> None:
    put(plugin, "text", seal(OLD, "x"))
    plugin.rows(f"ALTER ROLE {role.name} NOINHERIT")
    ask_as_superuser(plugin, f"GRANT service_role TO {role.name}", "GRANT USAGE ON SCHEMA plugin TO service_role")
    ask_as_superuser(plugin, f"GRANT SELECT ON {T} TO service_role")
    assert found(search(role.database, access=Access(role="service_role"))) == {f"{T}.c": {1: 1}}
    assert found(search(role.database)) == {}


REWRITES = {
    "written anew": f"ALTER TABLE {T} ADD COLUMN ref uuid DEFAULT gen_random_uuid()",
    "truncated": f"TRUNCATE {T}",
    "dropped": f"DROP TABLE {T}",
    "renamed": f"ALTER TABLE {T} RENAME TO t_2",
    "another in its place": f"ALTER TABLE {T} RENAME TO t_2; CREATE TABLE {T} (n int, c text)",
    "schema renamed": "ALTER SCHEMA plugin RENAME TO plugin_2",
    "column renamed": f"ALTER TABLE {T} RENAME COLUMN c TO d",
    "moved": f"ALTER TABLE {T} SET SCHEMA public",
}


@contextmanager
def exported(flux: Fluxbase) -> Iterator[str]:
    with psycopg.connect(flux.url) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        row = holder.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        yield row[0]
        holder.rollback()


@pytest.mark.parametrize("rewrite", REWRITES)
def test_a_table_that_changed_after_the_snapshot_is_said_and_not_taken_for_empty(
    plugin: Fluxbase, rewrite: str
) -> None:
    put(plugin, "text", seal(OLD, "x"))
    with exported(plugin) as snapshot:
        assert found(search(plugin, snapshot=snapshot)) == {f"{T}.c": {1: 1}}
        ask_as_superuser(plugin, REWRITES[rewrite])
        findings = search(plugin, snapshot=snapshot)
    assert [each.where for each in findings.unexamined] == [T]
    assert found(findings) == {}


def test_a_table_that_is_written_anew_between_two_pieces_is_said(
    plugin: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxbase_cli.proof.columns._MAX_PIECE_BYTES", 8 * 1024)
    put(plugin, "text", seal(OLD, "first"))
    plugin.rows(f"INSERT INTO {T} SELECT n, repeat('a word ', 200) FROM generate_series(10, 500) AS n")
    plugin.rows(f"INSERT INTO {T} VALUES (1000, %s)", seal(OLD, "last"))

    class Rewriting:
        done = 0

        def notify(self, event: Event) -> None:
            if isinstance(event, BatchDone) and event.counts["pages"].scanned:
                self.done += 1
                if self.done == 1:
                    ask_as_superuser(plugin, f"ALTER TABLE {T} ADD COLUMN ref uuid DEFAULT gen_random_uuid()")

    findings = search(plugin, workers=1, observer=Rewriting())
    assert found(findings) == {f"{T}.c": {1: 1}}
    assert [each.where for each in findings.unexamined] == [T]


def test_rows_of_after_the_snapshot_are_not_looked_at(plugin: Fluxbase) -> None:
    put(plugin, "text", seal(OLD, "x"))
    with exported(plugin) as snapshot:
        plugin.rows(f"INSERT INTO {T} VALUES (9, %s)", seal(OLD, "y"))
        plugin.rows(f"DELETE FROM {T} WHERE n = 2")
        ask_as_superuser(plugin, "CREATE TABLE plugin.later (c text)")
        assert found(search(plugin, snapshot=snapshot)) == {f"{T}.c": {1: 1}}


def test_a_snapshot_that_is_gone_ends_the_search(plugin: Fluxbase) -> None:
    with exported(plugin) as snapshot:
        pass
    with pytest.raises(DatabaseError):
        search(plugin, snapshot=snapshot)


def test_an_error_in_one_table_leaves_the_others_searched(plugin: Fluxbase) -> None:
    if int(plugin.value("SHOW server_version_num")) < 180_000:
        pytest.skip("this server has no columns that are computed when they are read")
    put(plugin, "text", seal(OLD, "x"))
    plugin.rows(
        "CREATE TABLE plugin.a_broken_one (n int, c text, v text GENERATED ALWAYS AS (repeat('secret', 1 / n)) VIRTUAL)"
    )
    plugin.rows("INSERT INTO plugin.a_broken_one VALUES (0, 'x')")
    findings = search(plugin)
    assert found(findings) == {f"{T}.c": {1: 1}}
    (unexamined,) = findings.unexamined
    assert unexamined.where == "plugin.a_broken_one"
    assert "22012" in unexamined.reason


def test_a_table_that_stays_locked_is_said(plugin: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "retry_transient", partial(retry_transient, retry_limit_s=0.1))
    put(plugin, "text", seal(OLD, "x"))
    plugin.rows("CREATE TABLE plugin.locked (c text)")
    with psycopg.connect(plugin.url) as locker:
        locker.execute("LOCK TABLE plugin.locked IN ACCESS EXCLUSIVE MODE")
        findings = search(plugin)
    assert found(findings) == {f"{T}.c": {1: 1}}
    assert [each.where for each in findings.unexamined] == ["plugin.locked"]


def test_a_value_with_more_look_alikes_than_are_tried_is_said(
    plugin: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxbase_cli.proof.opening.MOST_DOUBTS", 10)
    put(plugin, "text", " ".join([*(seal(STRANGER, str(number)) for number in range(11)), seal(OLD, "x")]))
    findings = search(plugin)
    assert found(findings) == {f"{T}.c": {1: 1}}
    assert [each.where for each in findings.unexamined] == [f"{T}.c"]


def test_no_function_of_the_database_runs_with_our_privileges(plugin: Fluxbase) -> None:
    ask_as_superuser(
        plugin,
        "CREATE TYPE plugin.trap AS (a text)",
        "CREATE FUNCTION plugin.spring(plugin.trap) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE 'sprung'; END$$",
        "CREATE CAST (plugin.trap AS text) WITH FUNCTION plugin.spring(plugin.trap)",
        "CREATE FUNCTION plugin.spring(plugin.trap[]) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE 'sprung'; END$$",
        "CREATE CAST (plugin.trap[] AS text) WITH FUNCTION plugin.spring(plugin.trap[])",
    )
    put(plugin, "plugin.trap", seal(OLD, "x"), "ROW(%s)::plugin.trap", columns=", d plugin.trap[]")
    plugin.rows(f"UPDATE {T} SET d = ARRAY[c]")
    findings = search(plugin)
    assert (found(findings), findings.unexamined) == ({f"{T}.c": {1: 1}, f"{T}.d": {1: 1}}, ())


# --- how it reads -------------------------------------------------------------------------------------------------


def test_nothing_is_written(full: Fluxbase) -> None:
    places, relations, transaction = full.places(), full.relations(), int(full.value("SELECT pg_current_xact_id()"))
    search(full)
    assert (full.places(), full.relations()) == (places, relations)
    assert int(full.value("SELECT pg_current_xact_id()")) == transaction + 1


def test_a_stop_ends_the_search_and_is_no_proof(full: Fluxbase) -> None:
    stop = Stop()
    stop.request()
    findings = search(full, stop=stop)
    assert found(findings) == {}
    assert findings.unexamined


def test_a_stop_cancels_a_statement_that_takes_long(plugin: Fluxbase) -> None:
    put(plugin, "text", seal(OLD, "x"))
    stop = Stop()
    with psycopg.connect(plugin.url) as locker:
        locker.execute(f"LOCK TABLE {T} IN ACCESS EXCLUSIVE MODE".encode())
        timer = threading.Timer(0.5, stop.request)
        timer.start()
        findings = search(plugin, stop=stop)
        timer.join()
    assert findings.unexamined


def test_a_lost_connection_is_made_again(plugin: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxbase_cli.proof.columns._MAX_PIECE_BYTES", 8 * 1024)
    put(plugin, "text", seal(OLD, "first"))
    plugin.rows(f"INSERT INTO {T} SELECT n, repeat('a word ', 200) FROM generate_series(10, 300) AS n")
    plugin.rows(f"INSERT INTO {T} VALUES (1000, %s)", seal(OLD, "last"))
    real = deep_reading.DeepTable.stands_as_listed
    cut: list[bool] = []

    def cutting(table: deep_reading.DeepTable, connection: psycopg.Connection[Any]) -> bool:
        if table.relation.where == T and len(cut) < 3:
            cut.append(plugin.value("SELECT pg_terminate_backend(%s)", connection.info.backend_pid))
        return real(table, connection)

    monkeypatch.setattr(deep_reading.DeepTable, "stands_as_listed", cutting)
    findings = search(plugin)
    assert len(cut) == 3
    assert (found(findings), findings.unexamined) == ({f"{T}.c": {1: 2}}, ())


def test_a_standby_is_searched(standby: Standby, postgres_server: Any) -> None:
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute("CREATE SCHEMA deep_census")
        try:
            connection.execute("CREATE TABLE deep_census.t (c text); CREATE UNLOGGED TABLE deep_census.u (c text)")
            connection.execute("INSERT INTO deep_census.t VALUES (%s)", [seal(OLD, "x")])
            row = connection.execute("SELECT pg_current_wal_lsn()").fetchone()
            assert row is not None
            until(partial(_replayed, standby, row[0]), "the standby shows the rows")
            findings = search(standby.url)
            assert found(findings) == {"deep_census.t.c": {1: 1}}
            assert [each.where for each in findings.unexamined] == ["deep_census.u"]
        finally:
            connection.execute("DROP SCHEMA deep_census CASCADE")


def _replayed(standby: Standby, lsn: str) -> bool:
    try:
        return bool(standby.value(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'"))
    except psycopg.OperationalError:
        # It streams before it lets anybody in.
        return False
