"""Servers that write while a job runs: inserts, updates and deletes in every sealed table, under both keys."""

from __future__ import annotations

import base64
import os
import random
import secrets
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from psycopg import sql

from tests.faults.reader import ValuePlace
from tests.fixtures.command import NEW_KEY, OLD_KEY

#: The columns that a row of each table needs besides its sealed values. `%s` stands for a unique text.
_ROWS: Mapping[str, Mapping[str, Any]] = {
    "functions.secrets": {"name": "INSERTED_%s", "scope": "global"},
    "functions.secret_versions": {"secret_id": "%s", "version": 1},
    "app.settings": {"key": "inserted.%s", "value": '{"value": "[ENCRYPTED]"}', "user_id": "%s"},
    "platform.oauth_providers": {"provider_name": "%s", "client_id": "c", "redirect_url": "u", "is_encrypted": True},
    "platform.instance_settings": {},
    "auth.oauth_tokens": {"user_id": "%s", "provider": "google"},
    "auth.users": {"email": "%s@example.invalid"},
    "branching.github_config": {"repository": "inserted/%s"},
}
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "platform.oauth_providers": ("client_secret",),
    "auth.oauth_tokens": ("access_token", "refresh_token", "id_token"),
    "auth.users": ("totp_secret",),
    "branching.github_config": ("webhook_secret",),
}
_DOCUMENTS = "platform.instance_settings"
#: Where an inserted document has its sealed values.
_LEAVES = (("email", "smtp_password"), ("hooks", "0", "token"))
_DOCUMENT = '{"email": {"smtp_port": 587, "smtp_password": "%s"}, "hooks": [{"token": "%s", "ratio": 1.10}]}'
#: No row depends on another: when a writer deletes a row, no other row is deleted with it.
_NO_FOREIGN_KEYS = """
DO $$
DECLARE
    it record;
BEGIN
    FOR it IN SELECT conrelid::regclass AS of, conname FROM pg_constraint WHERE contype = 'f' LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', it.of, it.conname);
    END LOOP;
END
$$
"""


def seal(key: bytes, plaintext: bytes, user: str | None = None) -> str:
    """Seal as the server does. A user's settings are sealed under the user's derived key."""
    if user is not None:
        key = HKDF(SHA256(), 32, salt=user.encode(), info=b"fluxbase-user-settings-v1").derive(key)
    nonce = os.urandom(12)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plaintext, None)).decode()


class Writers:
    """Several servers. Some know the new key already.

    Each server writes only to its rows. So the last value that it wrote must be there in the end.

    Args:
        url: the database.
        number: how many servers.
        places: where all sealed values are.
    """

    def __init__(self, url: str, number: int, places: Iterable[ValuePlace]) -> None:
        self._url = url
        self._ended = threading.Event()
        self._switched = threading.Event()
        self._failures: list[BaseException] = []
        #: What must be there in the end; None for deleted values.
        self.written: dict[ValuePlace, bytes | None] = {}
        self._touched: set[ValuePlace] = set()
        #: How often rows were inserted, updated and deleted, by operation and table.
        self.done: Counter[tuple[str, str]] = Counter()
        with psycopg.connect(url) as connection:
            connection.execute(_NO_FOREIGN_KEYS)
            users = {str(row): str(user) for row, user in connection.execute("SELECT id, user_id FROM app.settings")}
        self._users = {row: user for row, user in users.items() if user != "None"}
        shares: list[dict[str, dict[str, list[ValuePlace]]]] = [defaultdict(dict) for _ in range(number)]
        for place in sorted(places):
            table = place[0].rpartition(".")[0]
            shares[hash(place[1]) % number][table].setdefault(place[1], []).append(place)
        self._threads = [threading.Thread(target=self._body, args=(share,), daemon=True) for share in shares]

    @property
    def tables(self) -> set[tuple[str, str]]:
        """What was done in which table so far."""
        return {*self.done}

    @property
    def touched(self) -> frozenset[ValuePlace]:
        """All values that the writers may have changed."""
        return frozenset(self._touched)

    def switch_to_the_new_key(self) -> None:
        """Act like servers that were restarted with the new configuration."""
        self._switched.set()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Run the writers within the block."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()
        assert self._failures == []

    def plaintexts(self, before: Mapping[ValuePlace, bytes]) -> dict[ValuePlace, bytes]:
        """What must be there in the end, computed from what was there before the writers began."""
        return {place: text for place, text in {**before, **self.written}.items() if text is not None}

    def _body(self, own: dict[str, dict[str, list[ValuePlace]]]) -> None:
        try:
            with psycopg.connect(self._url, autocommit=True, application_name="fluxbase-server") as connection:
                chance = random.Random()  # noqa: S311  # the order of the writes is no secret
                while not self._ended.is_set():
                    self._write(connection, own, chance)
                    # Without this pause, a writer on a machine with two cores would do nothing but wait for locks.
                    self._ended.wait(0.002)
        except BaseException as error:  # noqa: BLE001  # the main thread reports it
            self._failures.append(error)

    def _write(
        self, connection: psycopg.Connection[Any], own: dict[str, dict[str, list[ValuePlace]]], chance: random.Random
    ) -> None:
        table = chance.choice([*_ROWS])
        rows = own[table]
        kind = chance.choices(("update", "insert", "delete"), (7, 2, 1))[0] if rows else "insert"
        if kind == "insert":
            self._insert(connection, table, rows)
        else:
            row = chance.choice([*rows])
            self._touched.update(rows[row])
            if kind == "update":
                self._update(connection, table, chance.choice(rows[row]))
            else:
                gone = connection.execute(f"DELETE FROM {table} WHERE id = %s".encode(), [row])
                assert gone.rowcount == 1
                self.written |= dict.fromkeys(rows.pop(row))
        self.done[kind, table] += 1

    def _sealed(self, user: str | None) -> tuple[bytes, str]:
        key = NEW_KEY if self._switched.is_set() or secrets.randbelow(2) else OLD_KEY
        plaintext = f"written-{uuid4()}".encode()
        return plaintext, seal(key, plaintext, user)

    def _update(self, connection: psycopg.Connection[Any], table: str, place: ValuePlace) -> None:
        location, row, path = place
        plaintext, text = self._sealed(self._users.get(row) if table == "app.settings" else None)
        if table == _DOCUMENTS:
            statement = f"UPDATE {table} SET settings = jsonb_set(settings, %s, to_jsonb(%s::text)) WHERE id = %s"
            updated = connection.execute(statement.encode(), [list(path), text, row])
        else:
            statement = f"UPDATE {table} SET {location.rpartition('.')[2]} = %s WHERE id = %s"
            updated = connection.execute(statement.encode(), [text, row])
        assert updated.rowcount == 1
        self.written[place] = plaintext

    def _insert(self, connection: psycopg.Connection[Any], table: str, rows: dict[str, list[ValuePlace]]) -> None:
        row = str(uuid4())
        columns: dict[str, Any] = {"id": row}
        for name, value in _ROWS[table].items():
            columns[name] = value.replace("%s", str(uuid4())) if isinstance(value, str) else value
        if table == "app.settings":
            self._users[row] = columns["user_id"]
        places: dict[ValuePlace, bytes] = {}
        if table == _DOCUMENTS:
            texts = []
            for path in _LEAVES:
                places[f"{table}.settings", row, path], text = self._sealed(None)
                texts.append(text)
            columns["settings"] = _DOCUMENT % tuple(texts)
        else:
            for column in _COLUMNS.get(table, ("encrypted_value",)):
                places[f"{table}.{column}", row, ()], columns[column] = self._sealed(self._users.get(row))
        self._touched.update(places)
        connection.execute(
            sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                sql.Identifier(*table.split(".")),
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.SQL(", ").join(sql.Placeholder() * len(columns)),
            ),
            [*columns.values()],
        )
        rows[row] = [*places]
        self.written |= places
