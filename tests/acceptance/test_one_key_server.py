"""What is said and refused for a server that knows one key, when the values are moved by hand."""

from __future__ import annotations

import re
import secrets

import pytest

from fluxbase_cli.encoding import Encoding
from fluxbase_cli.keyring.material import generate_key
from tests.fixtures.command import NEW_KEY, OLD_KEY, Command, Rotation
from tests.fixtures.sealing import PUBLIC_KEYS
from tests.fixtures.served import SERVER_KEY, Served

_MADE = generate_key(Encoding.RAW)


@pytest.fixture
def by_hand(served: Served) -> Command:
    """The command as an operator has it who rotates by hand: the server's `.env`, and a new key."""
    served.command.write("fluxbase.yaml", "{}\n")
    return served.command.having(FLUXBASE_SECRET_KEY_2=_MADE)


def test_by_hand_the_server_is_told_of_before_and_after(served: Served, by_hand: Command) -> None:
    before = served.plaintexts(SERVER_KEY)

    asked = by_hand.on_terminal(
        *("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2"), answers=[("Go ahead?", "n")], width=140
    )
    assert asked.code == 130
    assert "The server knows one key. It can't read what was moved, until it is started with the new key." in asked.all
    assert re.search(
        r"Sessions that are still open on this database: \w+ from 127.0.0.1, process \d+, (idle|active)", asked.all
    )
    assert served.plaintexts(SERVER_KEY) == before

    served.stop()
    moved = by_hand("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes")
    assert moved.code == 0, moved.all
    assert "Sessions:  no other session is open on this database" in moved.stderr
    fingerprint = re.search(r"Put key version 2 \(fingerprint ([0-9a-f]{16})\)", moved.stderr)
    assert fingerprint is not None
    assert "FLUXBASE_ENCRYPTION_KEY, now at .env: FLUXBASE_ENCRYPTION_KEY" in moved.stderr
    assert "docker compose up -d --no-deps fluxbase     (`restart` keeps the old key)" in moved.stderr
    assert "goes on sending mail until somebody saves the e-mail settings" in moved.stderr

    # The server gets its new key, and every command knows that.
    text = (served.directory / ".env").read_text()
    served.command.write(".env", text.replace(SERVER_KEY, _MADE) + f"FLUXBASE_SECRET_KEY_1={SERVER_KEY}\n")
    served.start()
    served.works_on()
    assert served.failed_reads() == 0
    listed = by_hand("keys", "list", "-o", "json")
    assert listed.code == 0, listed.all
    (has,) = [key for key in listed.json["keys"] if key.get("server", False)]
    assert (has["version"], has["fingerprint"], has["active"]) == (2, fingerprint[1], True)
    assert by_hand("secrets", "audit", "--key-version", "1").stdout == "No secrets found encrypted with key version 1\n"
    assert "the server has key version 2" in by_hand("config", "check").stdout


def test_without_a_version_the_values_move_to_the_newest_key(served: Served, by_hand: Command) -> None:
    served.stop()
    moved = by_hand("secrets", "re-encrypt", "--yes", "-o", "json")
    assert (moved.code, moved.json["to_version"], moved.json["remaining"]) == (0, 2, 0), moved.all


def test_a_key_that_the_server_does_not_take_is_refused(served: Served, by_hand: Command) -> None:
    before = served.plaintexts(SERVER_KEY)
    line = ("secrets", "re-encrypt", "--to-version", "2", "--yes")

    refused = by_hand(*line, FLUXBASE_SECRET_KEY_2=secrets.token_hex(32))

    assert refused.code == 2
    assert "is not text of 32 bytes, and the server takes no other key" in refused.stderr
    assert served.plaintexts(SERVER_KEY) == before
    assert served.failed_reads() == 0
    served.stop()
    accepted = by_hand(*line, "--allow-unusable-key", FLUXBASE_SECRET_KEY_2=secrets.token_hex(32))
    assert accepted.code == 0, accepted.all


_WEAK = [
    "0" * 64,
    "a" * 32,
    "password-password-password-12345",
    "file:///run/secrets/fluxbase-key",
    *PUBLIC_KEYS,
]


@pytest.mark.parametrize("weak", _WEAK)
def test_a_key_that_anybody_can_guess_is_no_target(rotation: Rotation, weak: str) -> None:
    rotation.seed(20)
    line = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes")

    refused = rotation.command(*line, FLUXBASE_SECRET_KEY_2=weak)

    assert refused.code == 2, refused.all
    assert "key version 2 at environment: FLUXBASE_SECRET_KEY_2 is not used as a new key" in refused.stderr
    assert weak not in refused.all


def test_a_weak_key_can_be_used_by_who_says_so(rotation: Rotation) -> None:
    rotation.seed(20, new_share=0.0)
    line = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes", "--allow-weak-key")
    moved = rotation.command(*line, FLUXBASE_SECRET_KEY_2="a" * 32)
    assert moved.code == 0, moved.all
    # Elsewhere a weak key is only told.
    listed = rotation.command("keys", "list", FLUXBASE_SECRET_KEY_2="a" * 32)
    assert listed.code == 0
    assert "key version 2: it is one character repeated" in listed.stderr


def test_the_procedure_of_the_documentation_works_and_the_server_is_told_of_loudly(rotation: Rotation) -> None:
    rotation.seed(50)
    line = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--batch-size", "100")

    moved = rotation.command(*line, "--concurrency", "4")

    assert moved.code == 0, moved.all
    assert moved.stderr.count("KNOWS ONE KEY, FLUXBASE_ENCRYPTION_KEY") == 2
    assert "key version 2 is not text of 32 bytes" in moved.stderr
    assert "KNOWS ONE KEY" in rotation.command("config", "check").stdout
    audit = rotation.command("secrets", "audit", "--key-version", "1")
    assert (audit.code, audit.stdout) == (0, "No secrets found encrypted with key version 1\n")
    back = rotation.command("secrets", "rollback", "--to-version", "1", "--reason", "New key compromised")
    assert back.code == 0, back.all
    quiet = rotation.command.having(FLUXBASE_SECURITY_ENCRYPTION_SERVER_KEYRING="versioned")
    assert "KNOWS ONE KEY" not in quiet(*line).all + quiet("config", "check").all


def test_a_rotation_that_nobody_watches_is_refused_with_the_lines_to_add(rotation: Rotation) -> None:
    rotation.seed(20)

    refused = rotation.command("rotation", "run", "--force")

    assert refused.code == 2
    assert "this is the database of a server that knows one key" in refused.stderr
    assert "      keyring: versioned" in refused.stderr
    assert "      start_command: [docker, compose, up, -d, --no-deps, fluxbase]" in refused.stderr
    alone = rotation.command.lacking("FLUXBASE_SECRET_KEY_1", "FLUXBASE_SECRET_KEY_2")
    single = alone("rotation", "run", "--force", FLUXBASE_ENCRYPTION_KEY=SERVER_KEY)
    assert single.code == 2
    assert "nothing says how it is stopped, given a new key and started" in single.stderr
    plan = alone("rotation", "plan", FLUXBASE_ENCRYPTION_KEY=SERVER_KEY)
    assert plan.code == 2
    assert "✗ Missing: the server knows one key" in plan.stdout


def test_the_key_that_the_server_has_is_not_destroyed(served: Served, by_hand: Command) -> None:
    served.stop()
    assert by_hand("secrets", "re-encrypt", "--to-version", "2", "--yes").code == 0

    refused = by_hand("keys", "destroy", "--key-version", "1", "--reason", "x")

    assert refused.code == 3
    assert "the server has the key of version 1" in refused.all


def test_the_plan_of_a_cutover_shows_its_steps_and_what_is_missing(served: Served) -> None:
    plan = served.command("rotation", "plan", "-o", "json")
    assert plan.json["steps"] == [
        *("check", "key", "stop", "re-encrypt", "census", "install", "start", "prove", "retention")
    ]
    assert (plan.json["missing"], plan.json["to_version"], plan.json["obstacle"]) == ([], 2, None)
    served.change("/start.sh", "/no-start.sh")
    missing = served.command("rotation", "plan")
    assert missing.code == 2
    assert "✗ Missing: " in missing.stdout
    assert "there is no program" in missing.stdout
    check = served.command("config", "check")
    assert check.code == 2
    assert "there is no program" in check.stdout


def test_new_keys_have_the_form_that_the_server_takes(command: Command) -> None:
    command.write(".env", f"FLUXBASE_ENCRYPTION_KEY={SERVER_KEY}\n")
    made = command("keys", "generate")
    assert re.fullmatch("[A-Za-z0-9_-]{32}\n", made.stdout)
    assert re.fullmatch("[0-9a-f]{64}\n", command("keys", "generate", "--encoding", "hex").stdout)
    assert command("keys", "generate", "--out", "new").code == 0
    assert re.fullmatch("[A-Za-z0-9_-]{32}\n", (command.directory / "new").read_text())
    command.write(".env", f"FLUXBASE_SECRET_KEY_1={OLD_KEY.hex()}\nFLUXBASE_SECRET_KEY_2={NEW_KEY.hex()}\n")
    assert re.fullmatch("[0-9a-f]{64}\n", command("keys", "generate").stdout)


def test_a_stored_key_goes_into_the_servers_own_file(served: Served) -> None:
    stored = served.command("keys", "generate", "--store", "-o", "json")
    assert stored.code == 0, stored.all
    assert re.fullmatch("[A-Za-z0-9_-]{32}", served.env["FLUXBASE_SECRET_KEY_2"])
    assert served.env["FLUXBASE_SECRET_KEY_1"] == served.env["FLUXBASE_ENCRYPTION_KEY"] == SERVER_KEY
    assert served.env["FLUXBASE_SECRET_KEY_2"] not in stored.all
