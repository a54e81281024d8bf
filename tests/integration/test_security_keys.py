"""Rules of the security check on keys and on switches in the database, on a real database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from fluxbase_cli.config import Settings, load_settings
from fluxbase_cli.security.database.release import read_release
from fluxbase_cli.security.database.session import DatabaseFacts, open_database
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.generation import generation_of
from fluxbase_cli.security.keys import read_keys
from fluxbase_cli.security.part import Absent
from fluxbase_cli.security.registry import find_rule
from fluxbase_cli.security.run import Report, run_rules
from fluxbase_cli.store.connection import Connection
from tests.fixtures.embedded import on_both_releases
from tests.fixtures.fluxbase import NEW, OLD, Fluxbase
from tests.fixtures.security import ENCRYPTION_KEY, GOOD, NO_DATABASE, TODAY, configuration_of, found

RULES = ("FB-ENC-001", "FB-ENC-002", "FB-ENC-003", "FB-ENC-004", "FB-ENC-005", "FB-ENC-006")


#: The rules that read what the database records. The keys of the tests are no random keys.
RECORDS = ("FB-ENC-003", "FB-ENC-004", "FB-ENC-005")


def settings_of(folder: Path, flux: Fluxbase, variables: Mapping[str, str]) -> Settings:
    environ = {"FLUXBASE_DATABASE_URL": flux.url, **variables}
    return load_settings(directory=folder, environ=environ, system_directory=folder / "none")


def run(
    folder: Path, database: DatabaseFacts | Absent, flux: Fluxbase, variables: Mapping[str, str], *rules: str
) -> Report:
    settings = settings_of(folder, flux, variables)
    generation = None if isinstance(database, Absent) else generation_of(database.read(read_release))
    facts = Facts(
        TODAY,
        generation,
        True,  # noqa: FBT003  # production
        configuration_of(folder, None, {**GOOD, **variables}),
        database,
        read_keys=read_keys(settings, variables, database),
    )
    return run_rules(facts, [rule for each in rules or RULES if (rule := find_rule(each))])


@contextmanager
def opened(flux: Fluxbase) -> Iterator[DatabaseFacts]:
    with open_database(flux.database) as database:
        yield database


ONE_KEY = {"FLUXBASE_ENCRYPTION_KEY": ENCRYPTION_KEY}
TWO_KEYS = {"FLUXBASE_SECRET_KEY_1": OLD.hex(), "FLUXBASE_SECRET_KEY_2": NEW.hex()}


@on_both_releases
def test_one_key_that_was_never_rotated(flux: Fluxbase, tmp_path: Path) -> None:
    with opened(flux) as database:
        report = run(tmp_path, database, flux, ONE_KEY)

    assert [each[:2] for each in found(report)] == [("FB-ENC-003", "low")]
    # Nobody knows since when the key is in use.
    assert [each.rule for each in report.not_checked] == ["FB-ENC-004"]


def test_without_a_database_what_it_records_is_not_checked(flux: Fluxbase, tmp_path: Path) -> None:
    report = run(tmp_path, NO_DATABASE, flux, ONE_KEY)

    assert report.findings == ()
    assert {each.rule for each in report.not_checked} == {"FB-ENC-003", "FB-ENC-004", "FB-ENC-005"}


def test_after_a_rotation_there_is_nothing_to_find_until_the_key_is_old(flux: Fluxbase, tmp_path: Path) -> None:
    flux.run(target=2)
    with opened(flux) as database:
        young = run(tmp_path, database, flux, TWO_KEYS, *RECORDS)
    for days, severity in ((91, "medium"), (366, "high")):
        flux.rows(
            "UPDATE fluxbase_rotation.job SET created_at = created_at - %s, finished_at = finished_at - %s",
            timedelta(days=days),
            timedelta(days=days),
        )
        with opened(flux) as database:
            report = run(tmp_path, database, flux, TWO_KEYS, *RECORDS)
        assert [each[:2] for each in found(report)] == [("FB-ENC-004", severity)], report.not_checked

    assert young.findings == ()


def test_a_job_that_did_not_end_well(flux: Fluxbase, tmp_path: Path) -> None:
    flux.run(target=2)
    flux.rows("UPDATE fluxbase_rotation.job SET state = 'failed', finished_at = NULL, error = 'x'")
    with opened(flux) as database:
        report = run(tmp_path, database, flux, TWO_KEYS, "FB-ENC-005")

    assert [each[:2] for each in found(report)] == [("FB-ENC-005", "high")]


@on_both_releases
def test_client_secrets_without_a_seal(flux: Fluxbase, tmp_path: Path) -> None:
    table = "dashboard.oauth_providers" if flux.is_stable else "platform.oauth_providers"
    flux.rows(
        f"INSERT INTO {table} (provider_name, display_name, client_id, client_secret, redirect_url, is_encrypted) "
        "VALUES ('google', 'Google', 'x', 'plain-text-secret', 'https://x', false)"
    )
    with opened(flux) as database:
        report = run(tmp_path, database, flux, ONE_KEY, "FB-ENC-005")

    assert found(report) == [("FB-ENC-005", "high", table)]
    assert "plain-text-secret" not in repr(report)


def test_the_server_has_another_key_than_the_active_one(flux: Fluxbase, tmp_path: Path) -> None:
    text = (
        "security:\n  encryption:\n    active_key_version: 2\n    keys:\n"
        "      - {version: 1, key: '${FLUXBASE_ENCRYPTION_KEY}'}\n      - {version: 2, key: '${SECOND}'}\n"
    )
    (tmp_path / "fluxbase.yaml").write_text(text, encoding="utf-8")
    with opened(flux) as database:
        report = run(tmp_path, database, flux, {**ONE_KEY, "SECOND": NEW.hex()}, "FB-ENC-006")
        same = run(
            tmp_path,
            database,
            flux,
            {"FLUXBASE_ENCRYPTION_KEY": ENCRYPTION_KEY, "SECOND": ENCRYPTION_KEY[::-1]},
            "FB-ENC-001",
        )

    assert found(report) == [("FB-ENC-006", "high", "active")]
    assert same.findings == ()


def test_a_published_key_anywhere_in_the_ring(flux: Fluxbase, tmp_path: Path) -> None:
    sample = b"your-32-character-encryption-key".hex()
    with opened(flux) as database:
        report = run(tmp_path, database, flux, {**TWO_KEYS, "FLUXBASE_SECRET_KEY_1": sample}, "FB-ENC-001")

    assert found(report) == [("FB-ENC-001", "critical", "version 1")]
    assert sample not in repr(report)


# --- switches in app.settings -----------------------------------------------------------------------------------------


@on_both_releases
@pytest.mark.parametrize(("stored", "expected"), [(None, ["low"]), ("false", ["low"]), ("true", [])])
def test_the_global_rate_limit_may_be_on_in_the_table(
    flux: Fluxbase, tmp_path: Path, stored: str | None, expected: list[str]
) -> None:
    if stored is not None:
        flux.rows(
            "INSERT INTO app.settings (key, value) VALUES ('app.security.enable_global_rate_limit', %s::jsonb)",
            f'{{"value": {stored}}}',
        )
    with opened(flux) as database:
        report = run(tmp_path, database, flux, {}, "FB-RATE-001")

    assert [each.severity.word for each in report.findings] == expected
    assert report.not_checked == ()


def test_a_weak_setup_token_matters_less_after_the_setup(flux: Fluxbase, tmp_path: Path) -> None:
    weak = {"FLUXBASE_SECURITY_SETUP_TOKEN": "x7Kq2"}
    with opened(flux) as database:
        before = run(tmp_path, database, flux, weak, "FB-ADM-001")
    flux.rows("INSERT INTO app.settings (key, value) VALUES ('setup_completed', '{\"value\": true}')")
    with opened(flux) as database:
        after = run(tmp_path, database, flux, weak, "FB-ADM-001")

    assert [each.severity.word for each in (*before.findings, *after.findings)] == ["critical", "low"]


def test_the_check_writes_nothing_and_reads_in_one_read_only_transaction(flux: Fluxbase, tmp_path: Path) -> None:
    with opened(flux) as database:
        (read_only,) = database.read(_read_only)

    assert read_only == "on"


def _read_only(connection: Connection) -> tuple[str]:
    row = connection.execute("SHOW transaction_read_only").fetchone()
    assert row is not None
    return (str(row[0]),)
