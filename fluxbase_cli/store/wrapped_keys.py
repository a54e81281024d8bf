"""The table of wrapped keys, for providers whose keys are wrapped by a key of a key management service.

The only place where a named statement of `sql/wrapped_keys.sql` meets a method. Nothing here can unwrap anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from fluxbase_cli.errors import ConfigurationError, PreflightRefusedError
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements
from fluxbase_cli.store.schema import KEYS_SCHEMA, Schema

TABLE = f"{KEYS_SCHEMA}.wrapped_key"


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """One row of `wrapped_key`.

    Attributes:
        version: the key's version.
        provider: the name of the key provider that unwraps it.
        kms_key_id: the key that wraps it.
        ciphertext: its wrapped form.
        fingerprint: the fingerprint of the unwrapped key (see `fluxbase_cli.seal.fingerprint`). A rewrap does not
            change it.
        created_at: when it was added.
        rewrapped_at: when it was last wrapped by another key, if ever.
    """

    version: int
    provider: str
    kms_key_id: str
    ciphertext: bytes = field(repr=False)
    fingerprint: str
    created_at: datetime
    rewrapped_at: datetime | None


class WrappedKeyStore:
    """The table of wrapped keys over one connection, in autocommit unless the caller began a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._schema = Schema(connection)
        self._sql = Statements(connection, "wrapped_keys.sql")

    def _rows(self, name: str, **arguments: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # SQL parameters
        try:
            return self._sql.rows(name, **arguments)
        except psycopg.errors.InsufficientPrivilege:
            raise PreflightRefusedError(
                f"the role lacks privileges on {TABLE}, where wrapped keys are stored",
                hint=f"Ask its owner to run: GRANT USAGE ON SCHEMA {KEYS_SCHEMA} TO …; "
                f"GRANT SELECT ON {TABLE} TO …; (INSERT, UPDATE and DELETE too for a role that creates, rewraps "
                "and destroys keys).",
            ) from None

    def exists(self) -> bool:
        """Whether the table exists, here or where releases before 0.2 had it. This needs no privileges on it.

        Raises:
            PreflightRefusedError: the schema is not trusted.
        """
        return self._schema.has_keys() or bool(self._rows("old_table_exists")[0]["there"] and self._schema.exists())

    def ensure(self) -> None:
        """Create the table if it is missing, together with the other tables.

        Raises:
            PreflightRefusedError: as for `Schema.ensure`.
        """
        self._schema.ensure()

    def all(self) -> tuple[WrappedKey, ...]:
        """All wrapped keys, by ascending version; none if the table does not exist.

        Raises:
            PreflightRefusedError: the role may not read them, or the schema is not trusted.
        """
        if not self.exists():
            return ()
        name = "all_keys" if self._schema.has_keys() else "all_keys_before_008"
        return tuple(WrappedKey(**row) for row in self._rows(name))

    def get(self, version: int) -> WrappedKey | None:
        """The wrapped key of that version, if any.

        Raises:
            PreflightRefusedError: as for `all`.
        """
        return next((key for key in self.all() if key.version == version), None)

    def add(self, version: int, *, provider: str, kms_key_id: str, ciphertext: bytes, fingerprint: str) -> WrappedKey:
        """Store a new wrapped key. Never overwrites a key. The table must exist.

        Args:
            version: its version.
            provider: the name of the key provider that unwraps it.
            kms_key_id: the key that wraps it.
            ciphertext: its wrapped form.
            fingerprint: the fingerprint of the unwrapped key.

        Raises:
            ConfigurationError: there is a key of that version already.
            PreflightRefusedError: the role may not write it.
        """
        try:
            # In a transaction of the caller this is a savepoint, so that an error here does not abort it.
            with self._connection.transaction():
                rows = self._rows(
                    "add_key",
                    version=version,
                    provider=provider,
                    kms_key_id=kms_key_id,
                    ciphertext=ciphertext,
                    fingerprint=fingerprint,
                )
        except psycopg.errors.UniqueViolation:
            raise ConfigurationError(
                f"there is a wrapped key of version {version} in {TABLE} already; it was left as it is",
                hint="Choose another version with `--key-version`, or leave it out to use the next free version.",
            ) from None
        return WrappedKey(**rows[0])

    def replace(self, old: WrappedKey, *, kms_key_id: str, ciphertext: bytes) -> WrappedKey:
        """Replace the wrapped form of a key, if it is still the form that was read. The table must exist.

        Args:
            old: the wrapped key as it was read.
            kms_key_id: the key that wraps it now.
            ciphertext: its new wrapped form.

        Raises:
            ConfigurationError: another process rewrapped or deleted it meanwhile; nothing was written.
            PreflightRefusedError: the role may not write it.
        """
        rows = self._rows(
            "replace_key", version=old.version, old=old.ciphertext, kms_key_id=kms_key_id, ciphertext=ciphertext
        )
        if not rows:
            raise ConfigurationError(
                f"the wrapped key of version {old.version} in {TABLE} was changed or deleted meanwhile; "
                "nothing was written",
                hint="`fluxbase-cli keys list` shows the present keys. Then try again.",
            )
        return WrappedKey(**rows[0])

    def delete(self, version: int) -> bool:
        """Delete the wrapped key of that version, and return whether there was one.

        Raises:
            PreflightRefusedError: the role may not delete it.
        """
        return bool(self._rows("delete_key", version=version)) if self._schema.has_keys() else False
