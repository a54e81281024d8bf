"""The table of wrapped keys on a real server. No key is ever overwritten."""

from __future__ import annotations

import psycopg
import pytest

from fluxbase_cli.errors import ConfigurationError, ExitCode, PreflightRefusedError
from fluxbase_cli.store.connection import connect
from fluxbase_cli.store.schema import Schema
from fluxbase_cli.store.wrapped_keys import WrappedKey, WrappedKeyStore
from tests.fixtures.fluxbase import Fluxbase, Role

WRAPPED = b"\x00wrapped\xff"
ARN = "arn:aws:kms:eu-central-1:123456789012:key/one"


def add(store: WrappedKeyStore, version: int, ciphertext: bytes = WRAPPED) -> WrappedKey:
    return store.add(version, provider="aws_kms", kms_key_id=ARN, ciphertext=ciphertext, fingerprint=f"f{version}")


def back_to_version_3(flux: Fluxbase) -> None:
    """Leave the schema as the release that created this table made it, with only this table and those of rotations."""
    flux.rows("DROP TABLE fluxbase_keys.wrapped_key")
    flux.rows("COMMENT ON SCHEMA fluxbase_rotation IS 'fluxbase-cli: progress of key rotations, version 3'")


def test_without_the_table_there_are_no_wrapped_keys_and_a_query_does_not_create_it(flux: Fluxbase) -> None:
    with connect(flux.database) as connection:
        store = WrappedKeyStore(connection)
        assert not store.exists()
        assert store.all() == ()
        assert store.get(1) is None
        assert store.delete(1) is False
        assert not store.exists()
        assert not Schema(connection).exists()


def test_the_table_is_created_with_the_other_tables_and_added_to_those_of_an_older_version(flux: Fluxbase) -> None:
    with connect(flux.database) as connection:
        store = WrappedKeyStore(connection)
        store.ensure()
        assert store.exists()
        assert Schema(connection).exists()
        back_to_version_3(flux)
        assert not store.exists()
        store.ensure()
        made = add(store, 1)
        store.ensure()
        assert store.all() == (made,)


def test_keys_are_kept_as_they_were_given_and_listed_by_version(flux: Fluxbase) -> None:
    with connect(flux.database) as connection:
        store = WrappedKeyStore(connection)
        store.ensure()
        second, first = add(store, 2), add(store, 1, b"other")
        assert (second.version, second.provider, second.kms_key_id) == (2, "aws_kms", ARN)
        assert (second.ciphertext, second.fingerprint, second.rewrapped_at) == (WRAPPED, "f2", None)
        assert second.created_at.tzinfo is not None
        assert "wrapped" not in repr(second).replace("wrapped_at", "").replace("WrappedKey", "")
    # They are committed, so another connection sees them.
    with connect(flux.database) as connection:
        assert WrappedKeyStore(connection).all() == (first, second)
        assert WrappedKeyStore(connection).get(2) == second
        assert WrappedKeyStore(connection).get(3) is None


def test_an_existing_key_is_never_overwritten(flux: Fluxbase) -> None:
    with connect(flux.database) as connection:
        store = WrappedKeyStore(connection)
        store.ensure()
        first = add(store, 1)
        with pytest.raises(ConfigurationError, match="wrapped key of version 1 in fluxbase_keys") as caught:
            add(store, 1, b"second")
        assert caught.value.exit_code is ExitCode.USAGE
        assert caught.value.hint
        assert store.all() == (first,)
        # The transaction around it stays usable, too.
        with connection.transaction():
            add(store, 2)
            with pytest.raises(ConfigurationError):
                add(store, 1)
        assert len(store.all()) == 2


def test_the_database_refuses_a_number_that_is_not_a_version(flux: Fluxbase) -> None:
    with connect(flux.database) as connection:
        store = WrappedKeyStore(connection)
        store.ensure()
        for version in (0, -1):
            with pytest.raises(psycopg.errors.CheckViolation):
                add(store, version)


def test_a_rewrapped_key_replaces_only_the_key_that_was_read(flux: Fluxbase) -> None:
    with connect(flux.database) as ours, connect(flux.database) as theirs:
        store, other = WrappedKeyStore(ours), WrappedKeyStore(theirs)
        store.ensure()
        old, untouched = add(store, 1), add(store, 2)
        new = other.replace(old, kms_key_id="arn:two", ciphertext=b"two")
        assert (new.version, new.kms_key_id, new.ciphertext) == (1, "arn:two", b"two")
        assert (new.fingerprint, new.created_at) == (old.fingerprint, old.created_at)
        assert new.rewrapped_at is not None
        assert new.rewrapped_at >= new.created_at
        with pytest.raises(ConfigurationError, match=r"version 1 .* changed or deleted meanwhile"):
            store.replace(old, kms_key_id="arn:three", ciphertext=b"three")
        assert store.all() == (new, untouched)


def test_a_deleted_key_is_gone_and_a_rewrapping_does_not_bring_it_back(flux: Fluxbase) -> None:
    with connect(flux.database) as connection:
        store = WrappedKeyStore(connection)
        store.ensure()
        old, other = add(store, 1), add(store, 2)
        assert store.delete(1) is True
        assert store.delete(1) is False
        with pytest.raises(ConfigurationError, match="nothing was written"):
            store.replace(old, kms_key_id="arn:two", ciphertext=b"two")
        assert store.all() == (other,)


def test_a_role_that_cannot_create_the_table_gets_the_sql_that_helps(flux: Fluxbase, role: Role) -> None:
    with connect(flux.database) as connection:
        Schema(connection).ensure()
        back_to_version_3(flux)
        flux.rows(f"GRANT USAGE ON SCHEMA fluxbase_keys TO {role.name}")
    with connect(role.database) as connection:
        store = WrappedKeyStore(connection)
        with pytest.raises(PreflightRefusedError, match=f"role {role.name} does not own them") as caught:
            store.ensure()
        flux.rows((caught.value.hint or "").partition("\n\n")[2])
        store.ensure()
        flux.rows(f"GRANT ALL ON fluxbase_keys.wrapped_key TO {role.name}")
        assert add(store, 1) == store.get(1)


def test_a_role_that_cannot_create_the_schema_gets_the_same_message_as_for_the_other_tables(
    flux: Fluxbase, role: Role
) -> None:
    with connect(role.database) as connection, pytest.raises(PreflightRefusedError, match="may not create the schema"):
        WrappedKeyStore(connection).ensure()


def test_a_role_that_cannot_read_the_keys_gets_the_missing_grant_in_the_message(flux: Fluxbase, role: Role) -> None:
    with connect(flux.database) as connection:
        WrappedKeyStore(connection).ensure()
    with connect(role.database) as connection:
        store = WrappedKeyStore(connection)
        assert store.exists()
        with pytest.raises(PreflightRefusedError, match="lacks privileges on fluxbase_keys") as caught:
            store.all()
        assert "GRANT SELECT ON fluxbase_keys.wrapped_key" in (caught.value.hint or "")
        flux.rows(f"GRANT USAGE ON SCHEMA fluxbase_keys TO {role.name}")
        flux.rows(f"GRANT SELECT ON fluxbase_keys.wrapped_key TO {role.name}")
        assert store.all() == ()
