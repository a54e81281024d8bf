"""Does a deep audit count exactly the rows that the independent reader counts?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

import pytest

from fluxbase_cli.engine.events import BatchDone, PassStarted
from fluxbase_cli.store import deep_reading
from tests.fixtures.deep_audit import found, search
from tests.fixtures.fluxbase import COLUMNS, KEYS, NEW, OLD, Fluxbase, Watching, open_all, seal
from tests.fixtures.plugin import T, ask_as_superuser, put


def test_old_values_left_in_the_tables_of_fluxbase_are_found(full: Fluxbase) -> None:
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
    """What opens in the columns of a Fluxbase database: each string of each value, with each uuid of its row."""
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


def test_many_random_texts_give_no_false_result(plugin: Fluxbase) -> None:
    ask_as_superuser(
        plugin,
        f"CREATE TABLE {T} (id uuid DEFAULT gen_random_uuid(), a text, b text, c bytea, d jsonb)",
        f"INSERT INTO {T} (a, b, c, d) SELECT"
        " encode(sha256(n::text::bytea), 'base64'), encode(sha256(n::text::bytea), 'hex'), sha256(n::text::bytea),"
        " jsonb_build_object('x', encode(sha512(n::text::bytea), 'base64')) FROM generate_series(1, 3000) AS n",
    )
    findings = search(plugin)
    assert (found(findings), findings.unexamined) == ({}, ())
