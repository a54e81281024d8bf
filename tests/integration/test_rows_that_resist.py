"""Is one row that can't be written listed, with the reason, and is the rest of its table moved?"""

from __future__ import annotations

import time
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from fluxbase_cli.engine.events import Step
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.engine.run.catch_up import CatchUp
from fluxbase_cli.errors import ExitCode
from tests.fixtures.fluxbase import OLD, SECRETS, Fluxbase, Watching, seal

_RAISE = (
    "CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.description = 'held' THEN "
    "RAISE EXCEPTION 'the value is %', OLD.encrypted_value USING ERRCODE = 'insufficient_privilege'; END IF; "
    "RETURN NEW; END $$;"
)
#: The held row gets the same text as another one, but only when it is written by us.
_TAKEN = (
    "CREATE FUNCTION public.taken(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT CASE "
    "WHEN $2 = 'taken' OR $2 = 'held' AND current_setting('session_replication_role') = 'replica' THEN 'taken' "
    "ELSE md5($1) END $$;"
    "UPDATE functions.secrets SET description = 'taken' WHERE id = (SELECT id FROM functions.secrets "
    "WHERE description IS NULL LIMIT 1);"
)


def bad(flux: Fluxbase, rows: list[UUID]) -> UUID:
    """Mark the row that will resist."""
    long = seal(OLD, "x" * 200)
    flux.rows("UPDATE functions.secrets SET description = 'held', encrypted_value = %s WHERE id = %s", long, rows[1])
    return rows[1]


def assert_only_this_row_is_left(flux: Fluxbase, report: JobReport, row: UUID, reason: str) -> None:
    assert (report.state, report.error, report.exit_code) == ("completed", None, ExitCode.UNDECRYPTABLE_LEFT)
    assert [(entry.location, entry.id, entry.path) for entry in report.quarantine] == [(SECRETS, row, ())]
    assert reason in report.quarantine[0].reason
    assert report.remaining == 1
    assert report.total.re_encrypted == report.total.updated == report.total.scanned - 1
    opened = {spot.id: each.versions for spot, each in flux.everything().items()}
    assert {key for key, versions in opened.items() if versions == (1,)} == {row}
    assert flux.audit(1).found == 1


@pytest.mark.parametrize(
    ("setup", "reason"),
    [
        pytest.param(
            "ALTER TABLE functions.secrets ADD CONSTRAINT no_held CHECK (description <> 'held') NOT VALID",
            "constraint no_held",
            id="a constraint that was not validated",
        ),
        pytest.param(
            _RAISE + "CREATE TRIGGER meddle BEFORE UPDATE ON functions.secrets FOR EACH ROW EXECUTE FUNCTION meddle();"
            "ALTER TABLE functions.secrets ENABLE ALWAYS TRIGGER meddle",
            "raised by function public.meddle()",
            id="a trigger that raises",
        ),
        pytest.param(
            _RAISE + "CREATE CONSTRAINT TRIGGER meddle AFTER UPDATE ON functions.secrets DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION meddle(); ALTER TABLE functions.secrets ENABLE ALWAYS TRIGGER meddle",
            "raised by function public.meddle()",
            id="a deferred trigger that raises at the commit",
        ),
        pytest.param(
            "CREATE FUNCTION public.length_of(text, text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN "
            "RETURN CASE WHEN $2 = 'held' AND current_setting('session_replication_role') = 'replica' "
            "THEN 1 / (length($1) - length($1)) ELSE length($1) END; END $$;"
            "CREATE INDEX by_length ON functions.secrets (public.length_of(encrypted_value, description))",
            "raised by function public.length_of(text,text)",
            id="an index whose expression fails",
        ),
        pytest.param(
            "CREATE DOMAIN public.sealed AS text; ALTER TABLE functions.secrets ALTER COLUMN encrypted_value TYPE "
            "public.sealed; ALTER DOMAIN public.sealed ADD CONSTRAINT no_long CHECK (length(VALUE) < 300) NOT VALID",
            "constraint no_long",
            id="a constraint of a domain",
        ),
        pytest.param(
            # As after a limit that somebody has written into the catalogue: the present value is longer.
            "ALTER TABLE functions.secrets ALTER COLUMN encrypted_value TYPE varchar(400);"
            "UPDATE pg_attribute SET atttypmod = 204 WHERE attrelid = 'functions.secrets'::regclass "
            "AND attname = 'encrypted_value'",
            "SQLSTATE 22001",
            id="a column that is too short",
        ),
        pytest.param(
            _TAKEN + "CREATE UNIQUE INDEX no_twice ON functions.secrets (public.taken(encrypted_value, description))",
            "constraint no_twice",
            id="a unique index",
        ),
        pytest.param(
            _TAKEN + "ALTER TABLE functions.secrets ADD CONSTRAINT no_other "
            "EXCLUDE USING hash (public.taken(encrypted_value, description) WITH =)",
            "constraint no_other",
            id="an exclusion constraint",
        ),
        pytest.param(
            "ALTER TABLE functions.secrets ADD COLUMN digest text GENERATED ALWAYS AS "
            "(CASE WHEN description = 'held' THEN md5(encrypted_value) ELSE 'other' END) STORED;"
            "CREATE TABLE public.digests AS SELECT DISTINCT digest FROM functions.secrets;"
            "ALTER TABLE public.digests ADD PRIMARY KEY (digest);"
            "ALTER TABLE functions.secrets ADD CONSTRAINT known FOREIGN KEY (digest) REFERENCES public.digests;"
            "DO $$ BEGIN EXECUTE (SELECT format('ALTER TABLE functions.secrets ENABLE ALWAYS TRIGGER %I', tgname) "
            "FROM pg_trigger WHERE tgconstrrelid = 'public.digests'::regclass AND tgtype & 16 > 0 LIMIT 1"
            "); END $$",
            "constraint known",
            id="a foreign key",
        ),
    ],
)
def test_a_row_that_the_database_refuses_is_listed_and_the_rest_is_moved(
    flux: Fluxbase, setup: str, reason: str
) -> None:
    rows = flux.secrets(7)
    row = bad(flux, rows)
    flux.rows(setup)
    report = flux.run(allow_triggers=True)
    assert_only_this_row_is_left(flux, report, row, reason)
    assert flux.stored()[next(spot for spot in flux.stored() if spot.id == row)][0] not in str(report)


_NO_HELD = "ALTER TABLE functions.secrets ADD CONSTRAINT no_held CHECK (description <> 'held') NOT VALID"


def test_what_is_left_is_counted_although_something_could_not_be_examined(flux: Fluxbase) -> None:
    flux.github(seal(OLD, "a webhook secret"))
    bad(flux, flux.secrets(30))
    flux.rows(_NO_HELD)
    watching = Watching(
        Step.COMMITTED, lambda: flux.rows("ALTER TABLE branching.github_config RENAME TO github_config_old")
    )
    report = flux.run(observer=watching)
    assert (report.state, [each.where for each in report.unexamined]) == ("failed", ["branching.github_config"])
    assert report.remaining == 1


def test_only_one_worker_counts_what_is_left(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    bad(flux, flux.secrets(7))
    flux.rows(_NO_HELD)
    counted = []
    count = CatchUp._remaining

    def slowly(*arguments: Any) -> int:
        counted.append(arguments)
        time.sleep(1.0)
        return count(*arguments)

    monkeypatch.setattr(CatchUp, "_remaining", slowly)
    report = flux.run(workers=4)
    assert (report.state, report.remaining, len(counted)) == ("completed", 1, 1)


def test_a_worker_that_comes_to_count_when_another_one_has_done_it_counts_nothing(
    flux: Fluxbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have seen that something is left. The lock is free again when the second one wants it."""
    bad(flux, flux.secrets(7))
    flux.rows(_NO_HELD)
    counted = []

    class Counted:
        def acquire(self, *, blocking: bool) -> bool:
            assert not blocking
            flux.rows("UPDATE fluxbase_rotation.job SET state = 'completed', remaining = 1, finished_at = now()")
            return True

        def release(self) -> None:
            pass

    def counting(*arguments: Any) -> int:
        counted.append(arguments)
        return 0

    monkeypatch.setattr(CatchUp, "_remaining", counting)
    lock: Any = Counted()
    monkeypatch.setattr("fluxbase_cli.engine.run.pool.CatchUp", partial(CatchUp, counting=lock))
    report = flux.run(workers=1)
    assert (report.state, report.remaining, len(counted)) == ("completed", 1, 0)


def test_a_row_that_a_prepared_transaction_has_locked_keeps_only_itself(flux: Fluxbase) -> None:
    """Nobody will end this transaction. The job waits for its patience, and then names the row and the holder."""
    rows = flux.secrets(6)
    name = f"orphan_{rows[0].hex}"
    with flux.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT FROM functions.secrets WHERE id = %s FOR UPDATE", [rows[3]])
        connection.execute(f"PREPARE TRANSACTION '{name}'".encode())
    watching = Watching()
    try:
        report = flux.run(retry_limit_s=8.0, observer=watching)
    finally:
        flux.rows(f"ROLLBACK PREPARED '{name}'")
    assert (report.state, report.exit_code, report.remaining) == ("failed", ExitCode.FAILED, 1)
    assert report.error is not None
    for told in (report.error, str(report.unexamined[0]), watching.told[0]):
        assert f"functions.secrets {rows[3]}" in told
        assert f"prepared transaction '{name}' of postgres, open for" in told
    assert {spot.id for spot, each in flux.everything().items() if each.versions == (1,)} == {rows[3]}
    again = flux.run()
    assert (again.state, again.exit_code, again.unexamined) == ("completed", ExitCode.DONE, ())
