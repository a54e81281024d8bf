"""The exact text on stdout (docs/operators/understanding-output.md)."""

from __future__ import annotations

import re

from tests.fixtures.command import Rotation

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")


def test_a_re_encryption_ends_exactly_as_promised(rotation: Rotation) -> None:
    rotation.seed(1000)

    outcome = rotation.command(*_RE_ENCRYPT)

    assert outcome.code == 0
    assert _timeless(outcome.stdout) == (
        "Re-encrypting secrets from version 1 to 2...\n"
        "✓ Scanned 1000 secrets\n"
        "✓ Re-encrypted 850 secrets (already using new key: 150)\n"
        "✓ Updated 850 secrets in database\n"
        "✓ Completed in Ns\n"
    )


def test_a_second_run_finds_everything_done_and_writes_nothing(rotation: Rotation) -> None:
    rotation.seed(1000)
    rotation.command(*_RE_ENCRYPT)
    before = rotation.rows("SELECT ctid, xmin, id FROM functions.secrets ORDER BY ctid")

    outcome = rotation.command(*_RE_ENCRYPT)

    assert outcome.code == 0
    assert _timeless(outcome.stdout) == (
        "Re-encrypting secrets from version 1 to 2...\n"
        "✓ Scanned 1000 secrets\n"
        "✓ Re-encrypted 0 secrets (already using new key: 1000)\n"
        "✓ Updated 0 secrets in database\n"
        "✓ Completed in Ns\n"
    )
    assert rotation.rows("SELECT ctid, xmin, id FROM functions.secrets ORDER BY ctid") == before


def test_versions_can_be_left_out(rotation: Rotation) -> None:
    """All values that are not yet under the target move to the active version."""
    rotation.seed(20)

    outcome = rotation.command("secrets", "re-encrypt")

    assert outcome.code == 0
    title, *lines = outcome.stdout.splitlines()
    assert title.startswith("Re-encrypting secrets")
    assert title.endswith("2...")
    assert lines[1] == "✓ Re-encrypted 17 secrets (already using new key: 3)"


def test_a_dry_run_reports_and_leaves_no_trace(rotation: Rotation) -> None:
    rotation.seed(1000)

    outcome = rotation.command(*_RE_ENCRYPT, "--dry-run")

    assert outcome.code == 0
    assert "✓ Scanned 1000 secrets\n" in outcome.stdout
    assert "850 secrets (already using new key: 150)" in outcome.stdout
    assert "✓ Updated" not in outcome.stdout
    assert rotation.value("SELECT to_regnamespace('fluxbase_rotation')") is None
    assert rotation.command("secrets", "audit", "--key-version", "1").code == 3


def test_an_audit_finds_the_old_key_before_the_job_and_not_after_it(rotation: Rotation) -> None:
    rotation.seed(1000)

    before = rotation.command("secrets", "audit", "--key-version", "1")
    rotation.command(*_RE_ENCRYPT)
    after = rotation.command("secrets", "audit", "--key-version", "1")

    assert (before.code, after.code) == (3, 0)
    assert before.stdout.splitlines()[0] == "Found 850 secrets encrypted with key version 1"
    assert after.stdout == "No secrets found encrypted with key version 1\n"


def test_an_audit_without_a_version_counts_by_version(rotation: Rotation) -> None:
    report = rotation.seed(1000)

    outcome = rotation.command("secrets", "audit")

    assert outcome.code == 0
    *table, end = outcome.stdout.splitlines()
    lines = [line.split() for line in table]
    assert lines[-1] == ["total", "850", "150"]
    assert end == "No undecryptable and no plaintext values."
    assert [line[0] for line in lines[1:-1]] == [each.location for each in report.locations]


def test_a_rollback_ends_in_the_same_form_and_says_what_to_configure(rotation: Rotation) -> None:
    rotation.seed(1000)

    outcome = rotation.command("secrets", "rollback", "--to-version", "1", "--reason", "New key compromised")

    assert outcome.code == 0
    title, *lines = _timeless(outcome.stdout).splitlines()
    assert "version 1" in title
    assert lines == [
        "✓ Scanned 1000 secrets",
        "✓ Re-encrypted 150 secrets (already using new key: 850)",
        "✓ Updated 150 secrets in database",
        "✓ Completed in Ns",
    ]
    told = "Scanned 1000 secrets. Would re-encrypt 150 secrets to version 1 (already using it: 850)\n"
    assert told in outcome.stderr
    assert "active_key_version: 1" in outcome.stderr.split(told)[1]


def test_a_rollback_without_a_reason_is_refused(rotation: Rotation) -> None:
    rotation.seed(20)

    assert rotation.command("secrets", "rollback", "--to-version", "1").code == 2
    empty = rotation.command("secrets", "rollback", "--to-version", "1", "--reason", "  ")

    assert empty.code == 2
    assert empty.stderr.startswith("Error: ")
    assert rotation.value("SELECT to_regnamespace('fluxbase_rotation')") is None


def _timeless(text: str) -> str:
    return re.sub(r"in \d+s$", "in Ns", text, flags=re.MULTILINE)
