"""On a terminal: the question before the first write, colours, and a narrow window."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from fluxbase_cli.seal import fingerprint
from tests.fixtures.command import CTRL_C, CTRL_D, NEW_KEY, OLD_KEY, Rotation

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def test_before_the_first_write_the_terminal_shows_what_will_be_done(rotation: Rotation) -> None:
    report = rotation.seed(1000)
    url = urlsplit(rotation.url)

    outcome = rotation.command.on_terminal(*_RE_ENCRYPT, width=120, answers=[("Go ahead?", "n")])

    summary = outcome.stdout
    assert str(url.hostname) in summary
    assert url.path.strip("/") in summary
    assert str(url.username) in summary
    assert f"version 1, fingerprint {fingerprint(OLD_KEY)}" in summary
    assert f"version 2, fingerprint {fingerprint(NEW_KEY)}" in summary
    assert "! If key version 1 has leaked, first save the list of its secrets:" in summary
    for each in report.locations:
        if each.location != "platform.instance_settings.settings":  # this column counts documents
            assert re.search(rf"\b{each.old + each.new}  {re.escape(each.location)}", summary), each.location
    assert url.password is not None
    assert url.password not in summary


@pytest.mark.parametrize("answer", ["n", CTRL_C, CTRL_D], ids=["no", "Ctrl-C", "Ctrl-D"])
def test_the_answer_no_changes_nothing(rotation: Rotation, answer: str) -> None:
    rotation.seed(1000)

    outcome = rotation.command.on_terminal(*_RE_ENCRYPT, answers=[("Go ahead?", answer)])

    assert outcome.code == 130
    assert outcome.stdout.strip().endswith("Cancelled. Nothing was changed.")
    assert "failed" not in outcome.stdout.lower()
    assert rotation.value("SELECT to_regnamespace('fluxbase_rotation')") is None
    assert rotation.command("secrets", "audit", "-o", "json").json["by_version"] == {"1": 850, "2": 150}


def test_an_empty_answer_means_no(rotation: Rotation) -> None:
    rotation.seed(20)

    rotation.command.on_terminal(*_RE_ENCRYPT, answers=[("Go ahead?", "")])

    assert rotation.value("SELECT to_regnamespace('fluxbase_rotation')") is None


def test_the_answer_yes_starts_the_job(rotation: Rotation) -> None:
    rotation.seed(1000)

    outcome = rotation.command.on_terminal(*_RE_ENCRYPT, answers=[("Go ahead?", "y")])

    assert outcome.code == 0
    assert "✓ Re-encrypted 850 secrets (already using new key: 150)" in outcome.stdout


@pytest.mark.parametrize("skip", [("--yes",), ("-y",), ("--dry-run",)])
def test_it_does_not_ask_when_the_answer_is_given_or_nothing_is_written(
    rotation: Rotation, skip: tuple[str, ...]
) -> None:
    rotation.seed(20)

    outcome = rotation.command.on_terminal(*_RE_ENCRYPT, *skip)

    assert outcome.code == 0
    assert "Go ahead?" not in outcome.stdout


def test_it_does_not_ask_without_a_terminal(rotation: Rotation) -> None:
    rotation.seed(20)

    outcome = rotation.command(*_RE_ENCRYPT)

    assert outcome.code == 0
    assert "Go ahead?" not in outcome.all


def test_a_rollback_shows_its_reason_before_it_asks(rotation: Rotation) -> None:
    rotation.seed(20)

    outcome = rotation.command.on_terminal(
        *("secrets", "rollback", "--to-version", "1", "--reason", "New key compromised"),
        answers=[("Go ahead?", "y")],
    )

    assert outcome.code == 0
    assert "New key compromised" in outcome.stdout.split("Go ahead?")[0]


@pytest.mark.parametrize("width", [40, 20])
def test_the_output_fits_a_narrow_terminal(rotation: Rotation, width: int) -> None:
    rotation.seed(1000)

    outcome = rotation.command.on_terminal(*_RE_ENCRYPT, width=width, answers=[("Go ahead?", "y")])
    helped = rotation.command.on_terminal("secrets", "re-encrypt", "--help", width=width)
    listed = rotation.command.on_terminal("secrets", "status", "1", width=width)

    assert [outcome.code, helped.code, listed.code] == [0, 0, 0]
    assert "Re-encrypted 850 secrets" in outcome.stdout
    assert "Traceback" not in outcome.stdout


def test_progress_shows_the_locations(rotation: Rotation) -> None:
    rotation.seed(3000)

    outcome = rotation.command.on_terminal(*_RE_ENCRYPT, "--yes", "--batch-size", "20", width=160)

    assert "functions.secrets.encrypted_value" in outcome.stdout
    assert "%" in outcome.stdout


@pytest.mark.parametrize("off", ["--no-color", "NO_COLOR", "FLUXBASE_CLI_NO_COLOR"])
def test_colours_can_be_switched_off(rotation: Rotation, off: str) -> None:
    """Other escape sequences, which move the cursor for the progress table, stay."""
    rotation.seed(1000)
    arguments = (*_RE_ENCRYPT, "--yes", *((off,) if off.startswith("-") else ()))
    environment = {} if off.startswith("-") else {off: "1"}

    outcome = rotation.command.having(**environment).on_terminal(*arguments)

    assert outcome.code == 0
    coloured = [code for code in _COLOUR.findall(outcome.stdout) if re.search(r"\b(3[0-8]|4[0-8]|9[0-7])\b", code)]
    assert coloured == []


def test_quiet_shows_no_progress(rotation: Rotation) -> None:
    rotation.seed(1000)

    outcome = rotation.command.on_terminal(*_RE_ENCRYPT, "--yes", "--quiet")

    assert outcome.code == 0
    assert outcome.stdout.splitlines()[0] == "Re-encrypting secrets from version 1 to 2..."
    assert len(outcome.stdout.splitlines()) == 5
    assert "\x1b" not in outcome.stdout
