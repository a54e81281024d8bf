"""The stories of an operator, on databases of the newest stable release and of the main branch."""

from __future__ import annotations

import pytest

from fluxbase_cli.demo.tables import SchemaRelease
from fluxbase_cli.seal import fingerprint
from tests.faults.reader import read
from tests.fixtures.command import OLD_KEY, Outcome, Rotation, until
from tests.fixtures.embedded import on_both_releases

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")
_ROLLBACK = ("secrets", "rollback", "--to-version", "1", "--reason", "the new key leaked")
_AUDIT = ("secrets", "audit", "--key-version", "1")
#: What the demo leaves as plaintext in a stable database.
_PLAINTEXT = {SchemaRelease.STABLE: 17, SchemaRelease.MAIN: 0}


def done(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.all
    return outcome


@on_both_releases
def test_the_check_names_the_release(rotation: Rotation, release: SchemaRelease) -> None:
    checked = done(rotation.command("config", "check")).stdout.splitlines()
    if release is SchemaRelease.STABLE:
        assert "✓ release: 2026.2.3 to 2026.3.6" in checked
        assert "✓ tables: 7 tables with 9 sealed columns" in checked
    else:
        assert "✓ release: 2026.3.7-rc.12 to 2026.3.7-rc.13" in checked
        assert "✓ tables: 8 tables with 10 sealed columns" in checked
    assert checked[-1] == "Ready."


@on_both_releases
def test_values_are_audited_tried_in_a_dry_run_moved_and_moved_back(rotation: Rotation, release: SchemaRelease) -> None:
    rotation.seed(200)
    before = read(rotation.url)
    assert len(before.unopened) == _PLAINTEXT[release]

    first = rotation.command(*_AUDIT, "-o", "json")
    assert (first.code, first.json["found"], first.json["plaintext"]) == (3, 170, _PLAINTEXT[release])
    dry = done(rotation.command(*_RE_ENCRYPT, "--dry-run", "-o", "json")).json
    assert (dry["state"], dry["re_encrypted"], dry["already_current"]) == ("dry-run", 170, 30)
    assert read(rotation.url) == before

    moved = done(rotation.command(*_RE_ENCRYPT, "-o", "json")).json
    assert (moved["state"], moved["updated"], moved["remaining"]) == ("completed", 170, 0)
    providers = "dashboard.oauth_providers" if release is SchemaRelease.STABLE else "platform.oauth_providers"
    assert f"{providers}.client_secret" in {each["location"] for each in moved["locations"]}
    after = read(rotation.url)
    assert after.versions == {2: 200}
    assert (after.plaintexts, after.unopened, after.rest) == (before.plaintexts, before.unopened, before.rest)
    assert done(rotation.command(*_AUDIT)).stdout == "No secrets found encrypted with key version 1\n"

    back = done(rotation.command(*_ROLLBACK, "-o", "json")).json
    assert (back["state"], back["updated"]) == ("completed", 200)
    after = read(rotation.url)
    assert after.versions == {1: 200}
    assert (after.plaintexts, after.unopened, after.rest) == (before.plaintexts, before.unopened, before.rest)


@on_both_releases
def test_a_killed_job_can_be_resumed(rotation: Rotation) -> None:
    rotation.seed(3000)
    before = read(rotation.url)
    with rotation.command.start(*_RE_ENCRYPT, "--batch-size", "20", "--concurrency", "1") as running:
        until(lambda: rotation.rows_done() > 200 or running.ended, "a part is done")
        running.kill()
    between = read(rotation.url)
    assert (between.plaintexts, between.unopened) == (before.plaintexts, before.unopened)
    assert 0 < between.versions[1] < 2550

    last = done(rotation.command(*_RE_ENCRYPT, "-o", "json"))
    assert "Resuming job 1" in last.stderr
    after = read(rotation.url)
    assert after.versions == {2: 3000}
    assert (after.plaintexts, after.unopened, after.rest) == (before.plaintexts, before.unopened, before.rest)


@on_both_releases
def test_a_key_that_is_no_longer_needed_can_be_destroyed(rotation: Rotation) -> None:
    rotation.seed(60)
    refused = rotation.command("keys", "destroy", "--key-version", "1", "--now", "--yes", "--reason", "test")
    assert refused.code == 3, refused.all
    done(rotation.command(*_RE_ENCRYPT))

    done(rotation.command("keys", "destroy", "--key-version", "1"))
    soon = rotation.command.having(FLUXBASE_SECURITY_ENCRYPTION_KEY_DESTRUCTION_COOLING_OFF="0")
    destroyed = soon("keys", "destroy", "--key-version", "1", "--confirm", fingerprint(OLD_KEY), "-o", "json")
    assert done(destroyed).json["state"] == "destroyed"


@pytest.mark.parametrize("release", [SchemaRelease.STABLE], ids=str)
def test_an_audit_of_a_database_without_its_table_of_providers_says_so_and_ends_with_4(rotation: Rotation) -> None:
    """The table is still there under another name, with values under the old key."""
    rotation.seed(60, new_share=1.0)
    rotation.rows("ALTER TABLE dashboard.oauth_providers RENAME TO oauth_providers_old")

    audit = rotation.command(*_AUDIT, "-o", "json")
    assert audit.code == 4, audit.all
    assert [each["where"] for each in audit.json["unexamined"]] == ["dashboard.oauth_providers"]
    told = rotation.command(*_AUDIT)
    assert told.code == 4
    assert "No secrets found encrypted with key version 1 in what could be examined" in told.stdout


@pytest.mark.parametrize("release", [SchemaRelease.STABLE], ids=str)
def test_no_key_is_destroyed_while_the_table_of_providers_is_missing(rotation: Rotation) -> None:
    rotation.seed(60, new_share=1.0)
    rotation.rows("ALTER TABLE dashboard.oauth_providers RENAME TO oauth_providers_old")

    destroy = rotation.command(
        "keys", "destroy", "--key-version", "1", "--now", "--yes", "--reason", "test", "-o", "json"
    )
    assert destroy.code == 3, destroy.all
    assert any("dashboard.oauth_providers" in reason for reason in destroy.json["refused"])
