"""Signed reports by the command: written, verified, and compared with a database that has changed since."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from tests.fixtures.envelopes import KeyPair, make_pair
from tests.fixtures.fluxbase import NEW, OLD, STRANGER, Fluxbase, seal
from tests.fixtures.in_process import InProcess
from tests.fixtures.kms import Kms
from tests.fixtures.reporting import checked
from tests.fixtures.transit import TransitMount


@pytest.fixture
def knowing(reporting: InProcess) -> InProcess:
    """The command, which knows the keys too."""
    return reporting.having(FLUXBASE_SECRET_KEY_1=OLD.hex(), FLUXBASE_SECRET_KEY_2=NEW.hex())


@pytest.fixture
def done(flux: Fluxbase) -> Fluxbase:
    """A database with a completed job, which left one value that no key opens."""
    flux.secrets(5)
    flux.secret(seal(STRANGER, "x"))
    assert flux.run(reason="CHG-4711").state == "completed"
    return flux


def test_a_report_is_signed_and_verified_by_both_forms_of_the_command(
    done: Fluxbase, reporting: InProcess, pair: KeyPair
) -> None:
    out = reporting.directory / "job.json"

    signed = reporting("secrets", "report", "1", "--sign", str(pair.private), "--out", str(out))

    assert (signed.code, signed.stdout) == (0, "")
    assert "✓ Signed with the key " in signed.stderr
    envelope = json.loads(out.read_text(encoding="utf-8"))
    keyid = envelope["signatures"][0]["keyid"]
    for command in (
        ("report", "verify"),
        ("secrets", "report", "verify"),
        ("secrets", "report", "-o", "table", "verify"),
    ):
        outcome = reporting(*command, str(out), "--key", str(pair.public))
        assert (outcome.code, outcome.stderr) == (0, "")
        first, second = outcome.stdout.splitlines()
        assert first == f"✓ The signature is by the key {keyid}"
        assert second.startswith(f"✓ Job 1: version 1 to version 2, database {done.database.name}, report of 20")
    assert reporting("report", "1").stdout.startswith("# fluxbase-cli report. Job 1")
    # Without a file it is printed, and nothing else.
    assert json.loads(reporting("secrets", "report", "--sign", str(pair.private)).stdout).keys() == envelope.keys()


def test_html_and_its_signature_are_two_files_that_belong_together(
    done: Fluxbase, reporting: InProcess, pair: KeyPair
) -> None:
    out = reporting.directory / "job.html"
    envelope = reporting.directory / "job.html.dsse.json"
    alone = reporting("secrets", "report", "--format", "html", "--sign", str(pair.private))
    assert (alone.code, alone.stdout) == (2, "")
    assert "--out is needed" in alone.stderr

    assert reporting("secrets", "report", "--sign", str(pair.private), "--out", str(out)).code == 0

    verify = ("report", "verify", str(envelope), "--key", str(pair.public))
    assert "✓ job.html is the file that was signed" in reporting(*verify).stdout
    checked(json.loads(reporting("secrets", "report", "-o", "json").stdout))
    out.write_text(out.read_text(encoding="utf-8").replace("Undecryptable: 1.", "Undecryptable: 0."), encoding="utf-8")
    changed = reporting(*verify)
    assert changed.code == 3
    assert "✗ job.html is not the file that was signed" in changed.stdout
    out.unlink()
    gone = reporting(*verify, "-o", "json")
    assert (gone.code, gone.json["files"]) == (0, [{"name": "job.html", "is_same": None}])


def test_what_does_not_verify_is_one_line_and_code_3_and_what_cannot_be_used_is_code_2(
    done: Fluxbase, reporting: InProcess, pair: KeyPair
) -> None:
    out = reporting.directory / "job.json"
    reporting("secrets", "report", "--sign", str(pair.private), "--out", str(out))
    other = make_pair(reporting.directory, "other")

    for key, file, code, says in (
        (other.public, out, 3, "the signature is not by this key"),
        (pair.public, pair.public, 3, "this is not a signed report"),
        (pair.private, out, 2, "is a private key"),
        (out, out, 2, "is not a public key"),
        (pair.public, reporting.directory / "none", 2, "can't be read"),
        (pair.public, reporting.directory, 2, "can't be read"),
    ):
        outcome = reporting("report", "verify", str(file), "--key", str(key))
        assert (outcome.code, outcome.stdout) == (code, ""), outcome
        assert says in outcome.stderr.splitlines()[0]
    large = reporting.directory / "large"
    with large.open("wb") as zeros:
        zeros.truncate(65 * 1024 * 1024)
    outcome = reporting("report", "verify", str(large), "--key", str(pair.public))
    assert outcome.code == 2
    assert "is larger than 64 MiB" in outcome.stderr


def test_the_passphrase_comes_from_the_environment_and_is_never_shown(done: Fluxbase, reporting: InProcess) -> None:
    pair = make_pair(reporting.directory, passphrase="hunter2-hunter2")
    command = ("secrets", "report", "--sign", str(pair.private))

    asked = reporting(*command)
    good = reporting.having(FLUXBASE_CLI_SIGN_PASSPHRASE="hunter2-hunter2")(*command)
    bad = reporting.having(FLUXBASE_CLI_SIGN_PASSPHRASE="hunter2")(*command)

    assert (asked.code, good.code, bad.code) == (2, 0, 2)
    assert "is encrypted" in asked.stderr
    assert "hunter2" not in good.all + bad.all


def test_a_database_that_says_the_same_is_said_and_each_change_is_told(
    done: Fluxbase, knowing: InProcess, pair: KeyPair
) -> None:
    out = knowing.directory / "job.json"
    knowing("secrets", "report", "--sign", str(pair.private), "--out", str(out))
    verify = ("report", "verify", str(out), "--key", str(pair.public), "--database")

    same = knowing(*verify)
    assert same.code == 0, same.all
    assert "✓ The database still says the same\n✓ No value needs key version 1\n" in same.stdout

    def told(*wheres: str) -> None:
        outcome = knowing(*verify, "-o", "json")
        assert outcome.code == 3, outcome.all
        assert {each["where"] for each in outcome.json["database_now"]["differences"]} == set(wheres)
        assert not outcome.json["verified"]

    # A server seals under the old key again.
    written = done.secrets(2)
    told("values that need key version 1")
    assert "✗ The database has changed since the report: 1 difference\n" in knowing(*verify).stdout
    assert "    values that need key version 1: was 0, is 2\n" in knowing(*verify).stdout
    done.rows("DELETE FROM functions.secrets WHERE id = ANY (%s)", written)
    # A value was damaged.
    damaged = done.secret(seal(STRANGER, "y"))
    told("undecryptable values")
    done.rows("DELETE FROM functions.secrets WHERE id = %s", damaged)
    assert knowing(*verify).code == 0
    # Somebody has changed the record of what was left, which the trigger does not protect.
    done.rows("UPDATE fluxbase_rotation.quarantine SET reason = 'all is well'")
    told("jobs[0].quarantine[0].reason", "jobs[0].quarantine_sha256")
    # Somebody has switched off the trigger and changed an event.
    done.rows("ALTER TABLE fluxbase_rotation.event DISABLE TRIGGER ALL")
    done.rows("UPDATE fluxbase_rotation.event SET os_user = 'eve' WHERE what = 'started'")
    told(
        "jobs[0].quarantine[0].reason",
        "jobs[0].quarantine_sha256",
        "jobs[0].began_by.os_user",
        "jobs[0].events[0].os_user",
    )
    # A key was destroyed, and another job has run.
    done.rows(
        "INSERT INTO fluxbase_keys.key (version, fingerprint)"
        " SELECT 1, fingerprints ->> '1' FROM fluxbase_rotation.job ON CONFLICT DO NOTHING"
    )
    done.rows(
        "INSERT INTO fluxbase_keys.event (key, os_user, host, what)"
        " SELECT id, 'ada', 'here', 'key-destroyed' FROM fluxbase_keys.key WHERE version = 1"
    )
    done.secrets(1)
    done.run()
    skipped = knowing(*verify, "--skip-audit", "-o", "json")
    assert skipped.code == 3
    wheres = {each["where"] for each in skipped.json["database_now"]["differences"]}
    assert wheres >= {"database.newest_job", "keys[0].state", "keys[0].destroyed_at", "keys[0].events"}


def test_without_keys_the_records_alone_are_compared(done: Fluxbase, reporting: InProcess, pair: KeyPair) -> None:
    out = reporting.directory / "job.json"
    reporting("secrets", "report", "--sign", str(pair.private), "--out", str(out))
    verify = ("report", "verify", str(out), "--key", str(pair.public), "--database")

    assert reporting(*verify).code == 2
    outcome = reporting(*verify, "--skip-audit")

    assert outcome.code == 0, outcome.all
    assert "- Values were not opened: --skip-audit was given\n" in outcome.stdout
    only_new = reporting.having(FLUXBASE_SECRET_KEY_2=NEW.hex())(*verify)
    assert (only_new.code, "Nothing is known about key version 1" in only_new.stdout) == (0, True), only_new.all
    done.rows("DROP SCHEMA fluxbase_rotation CASCADE")
    gone = reporting(*verify, "--skip-audit")
    assert gone.code == 3
    assert "    job 1: was in the database, is not in the database\n" in gone.stdout


def test_a_key_of_vault_signs(done: Fluxbase, reporting: InProcess, transit: TransitMount, tmp_path: Path) -> None:
    knowing = reporting.having(**transit.server.environ())
    for kind in ("ed25519", "ecdsa-p256"):
        name = transit.make(kind, type=kind)
        # The newest version signs.
        transit.server.ask("POST", f"{name}/rotate".replace(transit.mount, f"{transit.mount}/keys"), {})
        out, public = tmp_path / f"{kind}.json", tmp_path / f"{kind}.pem"

        signed = knowing("secrets", "report", "--sign", f"vault-transit:{name}", "--out", str(out))

        assert signed.code == 0, signed.all
        keys = transit.server.ask("GET", f"{transit.mount}/keys/{kind}")["data"]["keys"]
        public.write_text(_pem_of(keys["2"]["public_key"]), encoding="ascii")
        assert knowing("report", "verify", str(out), "--key", str(public)).code == 0
    for name, says in (
        (f"{transit.mount}/none", "there is no key none"),
        (f"{transit.mount}/fluxbase", "is of the type aes256-gcm96"),
        ("nowhere/none", "there is no engine transit at nowhere"),
        ("", "names no key"),
    ):
        refused = knowing("secrets", "report", "--sign", f"vault-transit:{name}")
        assert (refused.code, refused.stdout) == (2, ""), refused.all
        assert says in refused.stderr.splitlines()[0]
    weak = transit.server.token_for(f'path "{transit.mount}/keys/*" {{ capabilities = ["read"] }}')
    denied = knowing.having(VAULT_TOKEN=weak)("secrets", "report", "--sign", f"vault-transit:{transit.mount}/ed25519")
    assert denied.code == 2
    assert "denies update on" in denied.stderr


def _pem_of(shown: str) -> str:
    """A public key as Vault shows it, in PEM. RFC 8410 gives the 12 bytes before those of an Ed25519 key."""
    if shown.startswith("-----"):
        return shown
    key = load_der_public_key(bytes.fromhex("302a300506032b6570032100") + base64.b64decode(shown))
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_key_of_aws_kms_signs(
    done: Fluxbase, reporting: InProcess, kms: Kms, kms_environment: dict[str, str], tmp_path: Path
) -> None:
    knowing = reporting.having(**kms_environment)
    made = kms.client().create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    out, public = tmp_path / "job.json", tmp_path / "kms.pem"

    signed = knowing("secrets", "report", "--sign", f"aws-kms:{made}", "--out", str(out))

    assert signed.code == 0, signed.all
    key = load_der_public_key(kms.client().get_public_key(KeyId=made)["PublicKey"])
    public.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert knowing("report", "verify", str(out), "--key", str(public)).code == 0
    rsa = kms.client().create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    for name, says in (
        (rsa, "is of the kind RSA"),
        ("alias/none", "does not exist"),
        ("", "names no key"),
    ):
        refused = knowing("secrets", "report", "--sign", f"aws-kms:{name}")
        assert (refused.code, refused.stdout) == (2, ""), refused.all
        assert says in refused.stderr.splitlines()[0]
