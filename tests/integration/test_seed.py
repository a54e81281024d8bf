"""The demo's tables and rows: they are as in Fluxbase, and as many values are sealed as reported."""

from __future__ import annotations

import base64
import binascii
import json
import re
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fluxbase_cli.demo.seed import MIN_COUNT, SeedReport, seed
from fluxbase_cli.demo.tables import SchemaRelease, create_tables
from tests.fixtures.columns import COLUMNS, STABLE_COLUMNS
from tests.fixtures.embedded import on_both_releases

OLD_KEY = b"demo-old-key-that-opens-nothing!"
NEW_KEY = b"demo-new-key-that-opens-nothing!"

COLUMNS_OF = {SchemaRelease.MAIN: COLUMNS, SchemaRelease.STABLE: STABLE_COLUMNS}
#: Secrets that older releases have left as plaintext in a stable database.
PLAINTEXT = {
    "dashboard.oauth_providers.client_secret": 2,
    "auth.users.totp_secret": 3,
    "branching.github_config.webhook_secret": 12,
}
TABLES_WITH_UPDATED_AT_TRIGGER = [
    "dashboard.oauth_providers",
    "platform.oauth_providers",
    "platform.instance_settings",
    "auth.oauth_tokens",
    "auth.users",
    "branching.github_config",
]

Connection = psycopg.Connection[tuple[Any, ...]]


def tables_of(release: SchemaRelease) -> list[str]:
    return list(dict.fromkeys(column.rpartition(".")[0] for column in COLUMNS_OF[release]))


@pytest.fixture
def conn(fluxbase_database: str) -> Iterator[Connection]:
    with psycopg.connect(fluxbase_database) as connection:
        yield connection


@pytest.fixture
def seeded(conn: Connection) -> Connection:
    """A connection to a database with 1,000 values, outside of any transaction."""
    seed(conn, count=1000, old_key=OLD_KEY, new_key=NEW_KEY, rng_seed=7)
    return conn


def opens(text: str, key: bytes) -> bool:
    raw = base64.b64decode(text, validate=True)
    try:
        plaintext = AESGCM(key).decrypt(raw[:12], raw[12:], None)
    except InvalidTag:
        return False
    assert b"not-real" in plaintext or b"DEMO" in plaintext or b"demo" in plaintext
    return True


def users_key(master: bytes, user_id: UUID | None) -> bytes:
    if user_id is None:
        return master
    return HKDF(SHA256(), 32, salt=str(user_id).encode(), info=b"fluxbase-user-settings-v1").derive(master)


def sealed_leaves(document: object) -> Iterator[str]:
    """The strings of a document that have the form of a sealed value."""
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        for each in document:
            yield from sealed_leaves(each)
    if isinstance(document, str):
        try:
            if len(base64.b64decode(document, validate=True)) >= 28:
                yield document
        except binascii.Error:
            return


def values(conn: Connection, release: SchemaRelease) -> Iterator[tuple[str, str, UUID | None, bool]]:
    """Every value of the sealed columns: location, text, the user whose key sealed it, whether it may be plaintext."""
    for location in COLUMNS_OF[release]:
        table, _, column = location.rpartition(".")
        user = "user_id" if table == "app.settings" else "NULL"
        unflagged = "is_encrypted IS NOT TRUE" if table.endswith("oauth_providers") else "true"
        for value, user_id, plain in conn.execute(
            f"SELECT {column}, {user}, {unflagged} FROM {table} WHERE {column} IS NOT NULL"
        ):
            for text in sealed_leaves(value) if isinstance(value, dict) else [value]:
                yield location, text, user_id, plain and location in PLAINTEXT


def count_values(
    conn: Connection, release: SchemaRelease = SchemaRelease.MAIN
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """How many values of each location the old key and the new key open, and how many are plaintext."""
    old: Counter[str] = Counter()
    new: Counter[str] = Counter()
    plaintext: Counter[str] = Counter()
    for location, text, user_id, may_be_plain in values(conn, release):
        if may_be_plain and re.fullmatch("[0-9a-f]{40}|[A-Z2-7]{32}|demo-provider-[0-9]+-client-secret-not-real", text):
            plaintext[location] += 1
            continue
        by_old, by_new = (opens(text, users_key(master, user_id)) for master in (OLD_KEY, NEW_KEY))
        assert by_old != by_new, location
        (old if by_old else new)[location] += 1
    return old, new, plaintext


def as_counters(report: SeedReport) -> tuple[Counter[str], Counter[str], Counter[str]]:
    return (
        Counter({each.location: each.old for each in report.locations if each.old}),
        Counter({each.location: each.new for each in report.locations if each.new}),
        Counter({each.location: each.plaintext for each in report.locations if each.plaintext}),
    )


@on_both_releases
@pytest.mark.parametrize("count", [MIN_COUNT, 11, 37, 1000])
def test_the_requested_number_of_values_is_sealed_each_under_the_key_in_the_report(
    conn: Connection, release: SchemaRelease, count: int
) -> None:
    report = seed(conn, count=count, old_key=OLD_KEY, new_key=NEW_KEY, rng_seed=count)
    assert count_values(conn, release) == as_counters(report)
    assert report.total == count
    assert report.new == round(0.15 * count)


@on_both_releases
def test_of_a_thousand_values_850_are_old_and_150_are_new_and_every_location_has_both(
    conn: Connection, release: SchemaRelease
) -> None:
    report = seed(conn, count=1000, old_key=OLD_KEY, new_key=NEW_KEY, rng_seed=1)
    assert (report.old, report.new) == (850, 150)
    assert all(each.old and each.new for each in report.locations)
    assert tuple(each.location for each in report.locations) == COLUMNS_OF[release]
    left = PLAINTEXT if release is SchemaRelease.STABLE else {}
    assert {each.location: each.plaintext for each in report.locations if each.plaintext} == left
    assert (report.plaintext, report.tables) == (sum(left.values()), 7 if left else 8)


@pytest.mark.parametrize(("share", "old", "new"), [(0.0, 100, 0), (0.5, 50, 50), (0.97, 3, 97), (1.0, 0, 100)])
def test_any_share_of_new_values_is_possible(conn: Connection, share: float, old: int, new: int) -> None:
    report = seed(conn, count=100, old_key=OLD_KEY, new_key=NEW_KEY, new_share=share, rng_seed=1)
    counted_old, counted_new, _ = count_values(conn)
    assert (counted_old.total(), counted_new.total()) == (report.old, report.new) == (old, new)


def test_fewer_values_than_locations_are_refused(conn: Connection) -> None:
    with pytest.raises(ValueError, match="at least 10"):
        seed(conn, count=MIN_COUNT - 1, old_key=OLD_KEY, new_key=NEW_KEY, rng_seed=1)


def test_the_same_seed_makes_the_same_rows_but_never_the_same_sealed_values(conn: Connection) -> None:
    def rows() -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        with conn.transaction(force_rollback=True):
            seed(conn, count=50, old_key=OLD_KEY, new_key=NEW_KEY, rng_seed=3)
            query = "SELECT id, name, opened FROM (SELECT *, length(encrypted_value) AS opened FROM functions.secrets)"
            ids = conn.execute(f"{query} AS s ORDER BY id").fetchall()
            return ids, conn.execute("SELECT encrypted_value FROM functions.secrets ORDER BY id").fetchall()

    first, second = rows(), rows()
    assert first[0] == second[0]
    assert not set(first[1]) & set(second[1])


def test_memory_stays_flat(conn: Connection) -> None:
    tracemalloc.start()
    try:
        seed(conn, count=20_000, old_key=OLD_KEY, new_key=NEW_KEY, rng_seed=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


def test_settings_of_users_are_sealed_with_the_derived_key_with_and_without_the_flag(seeded: Connection) -> None:
    kinds = seeded.execute(
        "SELECT DISTINCT user_id IS NULL, is_secret FROM app.settings WHERE encrypted_value IS NOT NULL"
    ).fetchall()
    assert sorted(kinds) == [(False, False), (False, True), (True, False), (True, True)]
    for text, user_id in seeded.execute("SELECT encrypted_value, user_id FROM app.settings WHERE user_id IS NOT NULL"):
        assert not opens(text, OLD_KEY)
        assert not opens(text, NEW_KEY)
        assert opens(text, users_key(OLD_KEY, user_id)) or opens(text, users_key(NEW_KEY, user_id))
    placeholders = seeded.execute("SELECT DISTINCT value FROM app.settings WHERE encrypted_value IS NOT NULL")
    assert placeholders.fetchall() == [({"value": "[ENCRYPTED]"},)]


def test_secrets_have_history_some_are_expired_and_some_belong_to_a_tenant(seeded: Connection) -> None:
    assert (
        seeded.execute(
            "SELECT count(*) FROM functions.secrets s JOIN functions.secret_versions v ON v.secret_id = s.id"
            " WHERE v.version < s.version"
        ).fetchone()
        == seeded.execute("SELECT count(*) FROM functions.secret_versions").fetchone()
    )
    assert seeded.execute(
        "SELECT bool_or(expires_at < now()), bool_or(expires_at > now()), bool_or(expires_at IS NULL),"
        " bool_or(tenant_id IS NULL), bool_or(tenant_id IS NOT NULL), count(DISTINCT scope) FROM functions.secrets"
    ).fetchone() == (True, True, True, True, True, 2)


def test_a_row_of_oauth_tokens_has_one_two_or_three_values(seeded: Connection) -> None:
    counts = seeded.execute(
        "SELECT DISTINCT num_nonnulls(access_token, refresh_token, id_token) FROM auth.oauth_tokens ORDER BY 1"
    )
    assert counts.fetchall() == [(1,), (2,), (3,)]


def test_settings_documents_keep_their_numbers_and_hold_sealed_values_at_several_depths(seeded: Connection) -> None:
    documents = seeded.execute("SELECT settings::text FROM platform.instance_settings").fetchall()
    assert len(documents) > 1
    for (document,) in documents:
        assert '"smtp_port": 587' in document
        assert '"retry_factor": 1.10' in document
        assert "not a sealed value" in document
    fullest = max((json.loads(document) for (document,) in documents), key=lambda each: len(list(sealed_leaves(each))))
    for part in (
        fullest["email"]["smtp_password"],
        fullest["auth"]["oauth"][1]["client_secret"],
        fullest["backup"]["targets"][0][1]["token"],
        fullest["webhook_keys"][0],
    ):
        assert list(sealed_leaves(part)) == [part]


@on_both_releases
def test_every_sealed_table_has_a_uuid_key_and_the_row_level_security_of_its_release(
    conn: Connection, release: SchemaRelease
) -> None:
    enabled = dict.fromkeys(tables_of(release), (True, True))
    if release is SchemaRelease.STABLE:
        enabled |= {
            "app.settings": (True, False),
            "auth.users": (True, False),
            "branching.github_config": (False, False),
        }
    for table, (enforced, forced) in enabled.items():
        assert conn.execute(
            "SELECT c.relkind, c.relrowsecurity, c.relforcerowsecurity, a.attname, a.atttypid::regtype::text"
            " FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey) WHERE c.oid = %s::regclass",
            [table],
        ).fetchall() == [("r", enforced, forced, "id", "uuid")], table
        policies = conn.execute("SELECT count(*) > 0 FROM pg_policy WHERE polrelid = %s::regclass", [table])
        assert policies.fetchone() == (enforced,), table


@on_both_releases
def test_an_ordinary_role_does_not_see_all_rows_and_gets_no_error(seeded: Connection, release: SchemaRelease) -> None:
    for table in tables_of(release):
        if (table, release) == ("branching.github_config", SchemaRelease.STABLE):
            continue
        (everything,) = seeded.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,)
        with seeded.transaction(force_rollback=True):
            seeded.execute("CREATE ROLE demo_ordinary")
            seeded.execute(f"GRANT USAGE ON SCHEMA auth, {table.split('.')[0]} TO demo_ordinary")
            seeded.execute(f"GRANT SELECT ON {table} TO demo_ordinary")
            seeded.execute("SET LOCAL ROLE demo_ordinary")
            (seen,) = seeded.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,)
        assert seen < everything, table


@on_both_releases
def test_force_hides_rows_from_the_owner_too(seeded: Connection, release: SchemaRelease) -> None:
    everything = seeded.execute("SELECT count(*) FROM functions.secrets").fetchone() or (0,)
    with seeded.transaction(force_rollback=True):
        seeded.execute("CREATE ROLE demo_owner")
        seeded.execute("GRANT USAGE ON SCHEMA functions, auth TO demo_owner")
        seeded.execute("ALTER TABLE functions.secrets OWNER TO demo_owner")
        seeded.execute("SET LOCAL ROLE demo_owner")
        seen = seeded.execute("SELECT count(*) FROM functions.secrets").fetchone() or (0,)
    # The main branch shows a session without a tenant only the rows without a tenant.
    assert seen < everything
    assert (seen == (0,)) == (release is SchemaRelease.STABLE)


@on_both_releases
def test_row_security_off_turns_missing_rows_into_an_error(seeded: Connection) -> None:
    seeded.execute("SET ROLE authenticated")
    seeded.execute("SET row_security = off")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        seeded.execute("SELECT count(*) FROM functions.secrets")


@on_both_releases
def test_the_service_role_can_read_and_write_all_rows_but_cannot_create_schemas_or_silence_triggers(
    seeded: Connection, release: SchemaRelease
) -> None:
    tables = tables_of(release)
    everything = [seeded.execute(f"SELECT count(*) FROM {table}").fetchone() for table in tables]
    seeded.execute("SET ROLE service_role")
    seeded.commit()
    assert [seeded.execute(f"SELECT count(*) FROM {table}").fetchone() for table in tables] == everything
    for table in tables:
        seeded.execute(f"UPDATE {table} SET id = id")
    seeded.commit()
    for forbidden in ("CREATE SCHEMA fluxbase_rotation", "SET session_replication_role = replica"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            seeded.execute(forbidden)
        seeded.rollback()


@pytest.mark.parametrize(
    ("release", "table"),
    [
        (release, table)
        for release in SchemaRelease
        for table in tables_of(release)
        if table != "functions.secret_versions"
    ],
)
def test_an_update_changes_updated_at_only_where_fluxbase_has_a_trigger_and_never_in_replica_mode(
    seeded: Connection, table: str
) -> None:
    def touched() -> tuple[Any, ...] | None:
        seeded.execute(f"UPDATE {table} SET created_at = created_at")
        return seeded.execute(
            f"SELECT bool_and(updated_at = now()), bool_or(updated_at = now()) FROM {table}"
        ).fetchone()

    fires = table in TABLES_WITH_UPDATED_AT_TRIGGER
    with seeded.transaction(force_rollback=True):
        assert touched() == (fires, fires)
    with seeded.transaction(force_rollback=True):
        seeded.execute("SET LOCAL session_replication_role = replica")
        assert touched() == (False, False)


def test_a_webhook_trigger_copies_the_sealed_totp_secret_to_another_table_except_in_replica_mode(
    seeded: Connection,
) -> None:
    seeded.execute("INSERT INTO auth.webhooks (name, url) VALUES ('demo', 'https://demo.example.invalid/hook')")
    seeded.execute("SELECT auth.create_webhook_trigger('auth', 'users')")
    one = "(SELECT id FROM auth.users WHERE totp_secret IS NOT NULL LIMIT 1)"
    copies = "SELECT count(*) FROM auth.webhook_events WHERE new_data ->> 'totp_secret' IS NOT NULL"
    with seeded.transaction():
        seeded.execute("SET LOCAL session_replication_role = replica")
        seeded.execute(f"UPDATE auth.users SET totp_secret = totp_secret WHERE id = {one}")
        assert seeded.execute(copies).fetchone() == (0,)
        seeded.execute("SET LOCAL session_replication_role = origin")
        seeded.execute(f"UPDATE auth.users SET totp_secret = totp_secret WHERE id = {one}")
    assert seeded.execute(copies).fetchone() == (1,)


def test_the_tables_can_be_created_in_several_databases_of_one_server(fluxbase_database: str) -> None:
    """Roles belong to the server, so the second database finds them already there."""
    with psycopg.connect(fluxbase_database) as conn:
        for release in (SchemaRelease.STABLE, SchemaRelease.MAIN):
            for (schema,) in conn.execute(
                "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$'"
            ).fetchall():
                conn.execute(f"DROP SCHEMA {schema} CASCADE")
            conn.execute("CREATE SCHEMA public")
            create_tables(conn, release=release)
        assert conn.execute("SELECT count(*) FROM functions.secrets").fetchone() == (0,)


def test_each_test_has_a_separate_database(conn: Connection, fluxbase_database: str) -> None:
    assert fluxbase_database.endswith(conn.info.dbname)
    assert conn.execute("SELECT count(*) FROM functions.secrets").fetchone() == (0,)
