"""`keys destroy` and `keys enable`, with keys from the environment: every interlock, and both steps."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from fluxbase_cli.seal import Sealer, fingerprint
from tests.fixtures.command import NEW_KEY, OLD_KEY, Outcome, Rotation, until

_DESTROY = ("keys", "destroy", "--key-version", "1")
_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")
_BEFORE_JOB = fingerprint(OLD_KEY)


@pytest.fixture
def rotated(rotation: Rotation) -> Rotation:
    """Every value is under version 2."""
    rotation.seed(60, new_share=1.0)
    return rotation


def refused(outcome: Outcome, *words: str) -> None:
    """Check that the request was refused, for these reasons and no others."""
    assert outcome.code == 3, outcome.all
    reasons = outcome.json["refused"]
    assert len(reasons) == len(words), reasons
    for word in words:
        assert any(word in reason for reason in reasons), (word, reasons)


def state(rotation: Rotation, version: int = 1) -> str:
    keys = rotation.command("keys", "list", "-o", "json").json["keys"]
    return str(next(key["state"] for key in keys if key["version"] == version))


def test_a_key_is_disabled_first_and_destroyed_after_its_cooling_off_time(rotated: Rotation) -> None:
    confirm = (*_DESTROY, "--confirm", _BEFORE_JOB, "-o", "json")
    refused(rotated.command(*confirm), "not disabled yet")
    assert rotated.value("SELECT to_regclass('fluxbase_rotation.event')") is None

    first = rotated.command(*_DESTROY, "--reason", "Quarterly rotation")
    assert first.code == 0
    assert "Disabled key version 1" in first.stdout
    assert f"--confirm {_BEFORE_JOB}" in first.stderr
    assert state(rotated) == "disabled"

    back = rotated.command("secrets", "rollback", "--to-version", "1", "--reason", "test")
    assert back.code == 2
    assert "keys enable --key-version 1" in back.stderr
    refused(rotated.command(*confirm), "cools off for 7d")
    refused(rotated.command(*_DESTROY, "--confirm", fingerprint(NEW_KEY), "-o", "json"), "does not name", "cools off")

    soon = rotated.command.having(FLUXBASE_SECURITY_ENCRYPTION_KEY_DESTRUCTION_COOLING_OFF="0")
    second = soon(*_DESTROY, "--confirm", _BEFORE_JOB)
    assert second.code == 0, second.all
    assert "Recorded key version 1" in second.stdout
    assert "as destroyed" in second.stdout
    assert "environment: FLUXBASE_SECRET_KEY_1" in second.stderr
    listed = next(k for k in rotated.command("keys", "list", "-o", "json").json["keys"] if k["version"] == 1)
    assert listed["state"] == "destroyed"
    assert any("remove it" in warning for warning in listed["warnings"])

    again = rotated.command(*_DESTROY)
    assert (again.code, "destroyed already" in again.stdout) == (0, True)
    assert rotated.command("keys", "enable", "--key-version", "1").code == 3
    events = rotated.rows(
        "SELECT e.what, e.reason, e.detail, k.fingerprint FROM fluxbase_keys.event AS e"
        " JOIN fluxbase_keys.key AS k ON k.id = e.key ORDER BY e.id"
    )
    assert [row[0] for row in events] == ["key-disabled", "key-destroying", "key-destroyed"]
    assert events[0][1] == "Quarterly rotation"
    assert all(row[2]["census"][0]["found"] == 0 and row[3] == _BEFORE_JOB for row in events)


def test_a_disabled_key_can_be_enabled_again(rotated: Rotation) -> None:
    rotated.command(*_DESTROY)
    assert rotated.command("keys", "enable", "--key-version", "1").code == 0
    assert state(rotated) == "enabled"
    back = rotated.command("secrets", "rollback", "--to-version", "1", "--reason", "test", "-o", "json")
    assert (back.code, back.json["re_encrypted"]) == (0, 60)
    # The cooling-off time begins again when the key is disabled again.
    rotated.command(*_RE_ENCRYPT)
    assert rotated.command(*_DESTROY).code == 0
    refused(rotated.command(*_DESTROY, "--confirm", _BEFORE_JOB, "-o", "json"), "cools off")


def test_an_emergency_does_both_steps_in_one_call(rotated: Rotation) -> None:
    outcome = rotated.command(*_DESTROY, "--now", "--yes", "--reason", "Key leaked", "-o", "json")

    assert outcome.code == 0, outcome.all
    assert (outcome.json["state"], outcome.json["refused"]) == ("destroyed", [])
    assert state(rotated) == "destroyed"


def test_the_active_key_is_refused_before_anything_is_opened(rotated: Rotation) -> None:
    refused(
        rotated.command("keys", "destroy", "--key-version", "2", "--now", "--yes", "--reason", "test", "-o", "json"),
        "active",
    )


@pytest.mark.parametrize("place", ["history row", "JSON leaf", "branch database"])
def test_one_value_in_any_place_is_enough_to_refuse(rotated: Rotation, place: str) -> None:
    sealed = Sealer(OLD_KEY).seal(b"still needed").decode()
    with psycopg.connect(rotated.url, autocommit=True) as connection:
        if place == "history row":
            connection.execute(
                "UPDATE functions.secret_versions SET encrypted_value = %s"
                " WHERE id = (SELECT max(id::text)::uuid FROM functions.secret_versions)",
                [sealed],
            )
        elif place == "JSON leaf":
            connection.execute(
                "UPDATE platform.instance_settings SET settings = jsonb_set(settings, '{deep}', %s::jsonb)"
                " WHERE id = (SELECT max(id::text)::uuid FROM platform.instance_settings)",
                [json.dumps([{"er": [sealed]}])],
            )
    if place == "branch database":
        with _branch(rotated, sealed) as name:
            outcome = rotated.command(*_DESTROY, "--now", "--yes", "--reason", "test", "-o", "json")
            refused(outcome, f"of database {name}")
            assert rotated.command(*_DESTROY, "--skip-copies").code == 0
        return
    refused(rotated.command(*_DESTROY, "-o", "json"), "1 value opens under version 1")
    refused(
        rotated.command(*_DESTROY, "--now", "--yes", "--reason", "test", "-o", "json"), "1 value opens under version 1"
    )
    assert state(rotated) == "enabled"


class _branch:  # noqa: N801  # the name reads as a verb
    """A copy of the database that the list of branches names, with one value under the old key; dropped at the end."""

    def __init__(self, rotation: Rotation, sealed: str) -> None:
        self._rotation = rotation
        self._sealed = sealed
        self._name = f"{rotation.url.rpartition('/')[2]}_branch"

    def __enter__(self) -> str:
        maintenance, _, main = self._rotation.url.rpartition("/")
        with psycopg.connect(f"{maintenance}/postgres", autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(self._name), sql.Identifier(main))
            )
        with psycopg.connect(f"{maintenance}/{self._name}", autocommit=True) as connection:
            connection.execute(
                "UPDATE functions.secrets SET encrypted_value = %s"
                " WHERE id = (SELECT max(id::text)::uuid FROM functions.secrets)",
                [self._sealed],
            )
        self._rotation.rows(
            "INSERT INTO branching.branches (name, slug, database_name) VALUES ('b', 'b', %s)", self._name
        )
        return self._name

    def __exit__(self, *_exception: object) -> None:
        maintenance = self._rotation.url.rpartition("/")[0]
        with psycopg.connect(f"{maintenance}/postgres", autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self._name)))


def test_undecryptable_values_must_be_accepted(rotated: Rotation) -> None:
    sealed = Sealer(b"\x77" * 32).seal(b"nobody knows").decode()
    rotated.rows(
        "INSERT INTO functions.secrets (id, name, scope, encrypted_value)"
        " VALUES (gen_random_uuid(), 'LOST', 'global', %s)",
        sealed,
    )
    refused(rotated.command(*_DESTROY, "-o", "json"), "--accept-undecryptable")
    assert rotated.command(*_DESTROY, "--accept-undecryptable").code == 0
    assert sealed not in rotated.command(*_DESTROY, "-o", "json").all


def test_an_unfinished_job_prevents_the_destroy(rotation: Rotation) -> None:
    rotation.seed(2000)
    with rotation.command.start(*_RE_ENCRYPT, "--batch-size", "10", "--concurrency", "1") as running:
        until(lambda: rotation.rows_done() > 20, "the job is at work")
        running.kill()
    refused(rotation.command(*_DESTROY, "-o", "json"), "job 1 (re-encrypt)")
    assert rotation.command(*_RE_ENCRYPT).code == 0
    assert rotation.command(*_DESTROY).code == 0


def test_a_backup_horizon_and_a_date_keep_a_key(rotation: Rotation) -> None:
    rotation.seed(60)
    rotation.command(*_RE_ENCRYPT)
    command = rotation.command.having(
        FLUXBASE_SECURITY_ENCRYPTION_KEY_DESTRUCTION_BACKUP_HORIZON="30d",
        FLUXBASE_SECURITY_ENCRYPTION_KEY_DESTRUCTION_COOLING_OFF="0",
    )
    refused(command(*_DESTROY, "--now", "--yes", "--reason", "test", "-o", "json"), "backups of the last 30d")
    assert command(*_DESTROY).code == 0
    later = command(*_DESTROY, "--keep-until", "2999-01-01", "-o", "json")
    assert (later.code, later.json["not_before"][:10]) == (0, "2999-01-01")
    refused(
        command(*_DESTROY, "--confirm", _BEFORE_JOB, "-o", "json"), "backups of the last 30d", "kept until 2999-01-01"
    )
    assert command(*_DESTROY, "--keep-until", "soon").code == 2


def test_the_entry_of_a_destroyed_key_can_stay_without_its_variable(rotated: Rotation) -> None:
    command = rotated.command.lacking("FLUXBASE_SECRET_KEY_1", "FLUXBASE_SECRET_KEY_2").having(
        OLD_SECRET_KEY=OLD_KEY.hex(), NEW_SECRET_KEY=NEW_KEY.hex()
    )
    command.write(
        "fluxbase.yaml",
        "security:\n  encryption:\n    active_key_version: 2\n    keys:\n"
        '      - version: 1\n        key: "${OLD_SECRET_KEY}"\n      - version: 2\n        key: "${NEW_SECRET_KEY}"\n',
    )
    command.write("fluxbase.yaml.before-v2", f"security: {{encryption: {{encryption_key: '{OLD_KEY.hex().upper()}'}}}}")
    command.write("fluxbase.yaml.bak", f"security: {{encryption: {{encryption_key: '{NEW_KEY.hex()}'}}}}")
    without = command.lacking("OLD_SECRET_KEY")
    assert without("secrets", "audit").code == 2
    destroyed = command(*_DESTROY, "--now", "--yes", "--reason", "test")
    assert destroyed.code == 0
    # A backup of the configuration still holds the key. The other one holds another key.
    assert (
        f"Left to do: remove the key from {command.directory}/fluxbase.yaml.before-v2, or the file" in destroyed.stderr
    )
    assert ".bak" not in destroyed.stderr

    for line in (("keys", "list"), ("secrets", "audit"), ("config", "check"), ("secrets", "re-encrypt", "--yes")):
        outcome = without(*line)
        assert outcome.code == 0, (line, outcome.all)
        assert "key version 1 was destroyed" in outcome.all
    assert without(*_DESTROY).code == 0
    # If the database cannot be asked, it looks like a missing key.
    away = without.having(FLUXBASE_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nowhere")
    outcome = away("keys", "list")
    assert outcome.code == 2
    assert "OLD_SECRET_KEY" in outcome.stderr


def test_a_key_that_never_existed_is_reported_as_such(rotated: Rotation) -> None:
    outcome = rotated.command("keys", "destroy", "--key-version", "9")
    assert outcome.code == 2
    assert "key version 9 is not configured" in outcome.stderr
    assert rotated.command("keys", "enable", "--key-version", "9").code == 2


def test_on_a_terminal_an_emergency_needs_a_second_confirmation(rotated: Rotation) -> None:
    outcome = rotated.command.on_terminal(
        *_DESTROY, "--now", "--reason", "test", answers=[("now, if nothing needs it?", "n")]
    )
    assert outcome.code == 130
    assert "Cancelled. Nothing was changed." in outcome.stdout
    assert state(rotated) == "enabled"
    # What is destroyed, and where.
    database = rotated.url.rpartition("/")[2].partition("?")[0]
    for said in (f"/{database}", f"version 1, fingerprint {_BEFORE_JOB}", "environment: FLUXBASE_SECRET_KEY_1"):
        assert said in outcome.stdout


def test_without_a_terminal_an_emergency_needs_yes_and_always_a_reason(rotated: Rotation) -> None:
    for more, said in (
        (("--reason", "Key leaked"), "nobody can be asked"),
        (("--yes",), "--now needs --reason"),
        (("--yes", "--reason", " "), "--reason is empty"),
    ):
        outcome = rotated.command(*_DESTROY, "--now", *more)
        assert outcome.code == 2
        assert said in outcome.stderr
    assert state(rotated) == "enabled"


def test_an_interrupted_audit_changes_nothing(rotation: Rotation) -> None:
    import signal  # noqa: PLC0415  # only this test needs it

    rotation.seed(20_000, new_share=1.0)
    with rotation.command.start(*_DESTROY, "--now", "--yes", "--reason", "test") as running:
        until(
            lambda: (
                rotation.value(
                    "SELECT count(*) > 1 FROM pg_stat_activity WHERE datname = current_database()"
                    " AND application_name = 'fluxbase-cli'"
                )
                or running.ended
            ),
            "the audit works",
        )
        running.send(signal.SIGTERM)
        outcome = running.finish()
    assert outcome.code in (0, 143)
    if outcome.code == 143:
        assert state(rotation) == "enabled"


def test_no_output_contains_a_key(rotated: Rotation, tmp_path: Path) -> None:
    outcomes = [
        rotated.command(*_DESTROY, "--now", "--yes", "--reason", "test", "--debug"),
        rotated.command("keys", "list", "--count"),
        rotated.command("keys", "verify"),
        rotated.command("keys", "generate", "--out", str(tmp_path / "key")),
    ]
    made = (tmp_path / "key").read_text().strip()
    heard = "\n".join(outcome.all for outcome in outcomes)
    heard += "\n".join(str(row) for row in rotated.rows("SELECT * FROM fluxbase_keys.event"))
    for key in (OLD_KEY.hex(), NEW_KEY.hex(), made):
        assert key not in heard
