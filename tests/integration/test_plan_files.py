"""Files that are no plans, and options that contradict one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fluxbase_cli.errors import ExitCode
from tests.fixtures.fluxbase import STRANGER, Fluxbase
from tests.fixtures.in_process import InProcess
from tests.fixtures.planning import MOVE, apply, forge, planned, under_old_key


def test_options_that_contradict_the_plan_are_refused(flux: Fluxbase, planner: InProcess) -> None:
    planned(planner)
    for arguments, words in (
        (("--to-version", "1"), "--to-version is 1 and the plan says 2"),
        (("--databases", "all"), "--databases is all and the plan says main"),
        (("--accept-undecryptable",), "--accept-undecryptable is set and the plan says not set"),
        (("--batch-size", "7", "--vacuum"), "--batch-size is 7 and the plan says nothing; --vacuum is set"),
    ):
        outcome = apply(planner, *arguments)
        assert (outcome.code, outcome.stdout) == (ExitCode.USAGE, "")
        assert words in outcome.stderr
    assert under_old_key(flux) == 20


def test_options_that_repeat_the_plan_are_allowed_and_variables_count(planner: InProcess) -> None:
    planned(planner, "--batch-size", "5")
    refused = apply(planner.having(FLUXBASE_CLI_BATCH_SIZE="6"))
    assert "--batch-size is 6 and the plan says 5" in refused.stderr
    assert apply(planner, "--batch-size", "5", "--from-version", "1").code == ExitCode.DONE


def test_the_file_of_locations_must_have_the_same_content(flux: Fluxbase, planner: InProcess) -> None:
    flux.rows("CREATE TABLE public.crm (id uuid PRIMARY KEY, secret text)")
    text = "locations:\n  - {table: public.crm, columns: [secret]}\n"
    planner.write("places.yaml", text)
    planned(planner, "--locations", "places.yaml")
    planner.write("places.yaml", text.replace("[secret]", "[{name: secret, plaintext: false}]"))
    outcome = apply(planner)
    assert outcome.code == ExitCode.CHECK_SAYS_NO
    assert "the locations (the file of --locations" in outcome.stdout
    planner.write("elsewhere.yaml", text)
    assert apply(planner, "--locations", "elsewhere.yaml").code == ExitCode.DONE
    flux.rows("DROP TABLE public.crm")


def _broken(text: str) -> str:
    return text[: len(text) // 2]


def _edited(text: str) -> str:
    return text.replace('"to_version": 2', '"to_version": 1')


def _of_tomorrow(text: str) -> str:
    return text.replace('"format_version": 1', '"format_version": 2')


def _of_another_tool(text: str) -> str:
    return text.replace("fluxbase-cli plan", "another plan")


def test_a_file_that_is_no_plan_is_refused_with_one_line(planner: InProcess) -> None:
    planned(planner)
    path = planner.directory / "plan.json"
    text = path.read_text()
    changes: list[tuple[Callable[[str], str], str]] = [
        (_broken, "it is not JSON"),
        (_edited, "it was changed or damaged after it was made"),
        (_of_tomorrow, "its format is '2', of another version of the tool (0."),
        (_of_another_tool, "this is no plan of this tool"),
        (lambda _text: "[" * 100_000, "it is not JSON"),
        (lambda _text: "[]", "this is no plan of this tool"),
        (lambda _text: "\x00", "this is no plan: it is not JSON"),
    ]
    for change, words in changes:
        path.write_text(change(text))
        outcome = apply(planner)
        assert (outcome.code, outcome.stdout) == (ExitCode.USAGE, "")
        assert words in outcome.stderr
        assert len(outcome.stderr.splitlines()) <= 2


def test_every_field_that_is_missing_or_of_another_type_is_refused(planner: InProcess) -> None:
    document = planned(planner)
    changes: list[dict[str, Any]] = []
    for name in document:
        if name in ("digest", "format", "format_version"):
            continue
        changes += [{**document, name: wrong} for wrong in (object, 7.5, [7], {"x": 7})]
        changes.append({other: value for other, value in document.items() if other != name})
    changes.append({**document, "options": {**document["options"], "concurrency": 0}})
    changes.append({**document, "options": {**document["options"], "restart": 1}})
    for wanted in changes:
        changed = {name: "text" if value is object else value for name, value in wanted.items()}
        # A text may stand where a text belongs.
        if changed.get("release") == "text" or changed.get("reason") == "text":
            continue
        if changed.get("catalogue") == "text" or changed.get("tool_version") == "text":
            continue
        if isinstance(changed.get("forecast"), dict):
            continue
        forge(planner, changed)
        outcome = apply(planner)
        assert outcome.code == ExitCode.USAGE, (changed, outcome.all)
        assert "this is no plan" in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--plan-out", "nowhere/plan.json"), "can't be written: there is no such folder, or it is no regular file"),
        (("--plan-out", "/dev/null"), "can't be written: there is no such folder, or it is no regular file"),
        (("--plan-out", "link.json"), "can't be written: there is no such folder, or it is no regular file"),
        (("--plan-out", "plan.json", "--join"), "--plan-out and --join can't go together"),
        (("--plan-out", "plan.json", "--run-name", "x"), "--plan-out and --run-name can't go together"),
        (("--plan-out", "plan.json", "--plan", "plan.json"), "--plan-out and --plan can't go together"),
        (("--plan-valid", "1h"), "--plan-valid needs --plan-out"),
        (("--plan-digest", f"sha256:{'0' * 64}"), "--plan-digest needs --plan"),
        (("--plan", "plan.json", "--plan-digest", "sha256:12"), "'sha256:12' is not a digest"),
        (("--plan", "nowhere.json"), "--plan nowhere.json"),
        (("--plan", "plan.json", "--fleet", "fleet.yaml"), "--plan and --fleet can't go together"),
        (("--plan-out", "plan.json", "--fleet", "fleet.yaml"), "--plan-out and --fleet can't go together"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_connection(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "link.json").symlink_to("target")
    outcome = InProcess(tmp_path, {"FLUXBASE_DATABASE_URL": "postgresql://127.0.0.1:1/none"})(
        "secrets", "re-encrypt", "--to-version", "2", *arguments
    )
    assert (outcome.code, outcome.stdout) == (ExitCode.USAGE, "")
    assert words in outcome.stderr
    assert not (tmp_path / "target").exists()


def test_a_rollback_without_a_plan_needs_version_and_reason(tmp_path: Path) -> None:
    planner = InProcess(tmp_path)
    assert "--to-version is missing" in planner("secrets", "rollback", "--reason", "x").stderr
    assert "--reason is missing" in planner("secrets", "rollback", "--to-version", "1").stderr
    assert planner("secrets", "rollback").code == ExitCode.USAGE


def test_no_plan_is_written_when_the_dry_run_does_not_come_through(flux: Fluxbase, planner: InProcess) -> None:
    outcome = planner.having(FLUXBASE_SECRET_KEY_1=STRANGER.hex())(*MOVE, "--plan-out", "plan.json")
    assert outcome.code == ExitCode.WRONG_KEY
    assert not (planner.directory / "plan.json").exists()
    assert under_old_key(flux) == 20


def test_how_long_a_plan_is_valid_is_said_when_it_is_made(planner: InProcess) -> None:
    outcome = planner(*MOVE, "--plan-out", "plan.json", "--plan-valid", "2h", "-o", "json")
    document = json.loads((planner.directory / "plan.json").read_text())
    assert outcome.json["plan"] == {
        "file": "plan.json",
        "digest": document["digest"],
        "expires_at": document["expires_at"],
    }
    created, expires = (document[name][11:13] for name in ("created_at", "expires_at"))
    assert (int(expires) - int(created)) % 24 == 2


def test_after_a_plan_its_approval_is_the_next_step(planner: InProcess) -> None:
    outcome = planner(*MOVE, "--plan-out", "plan.json")
    next_step = "Next: have the plan and its digest approved, then `fluxbase-cli secrets re-encrypt --plan plan.json`"
    assert outcome.stderr.splitlines()[-1] == next_step


def test_a_quiet_job_says_why_it_ends_with_4(flux: Fluxbase, planner: InProcess) -> None:
    flux.secrets(1, key=STRANGER)
    outcome = planner(*MOVE, "--yes", "-q")
    assert (outcome.code, outcome.stderr) == (
        ExitCode.UNDECRYPTABLE_LEFT,
        "Error: 1 value could not be opened and was left as it is. `fluxbase-cli secrets status 1` lists it\n",
    )
    as_json = json.loads(planner(*MOVE, "--yes", "-q", "--log-format", "json").stderr)
    assert (as_json["event"], as_json["unlisted"]) == ("values.unlisted", 1)


def test_only_the_plan_with_the_approved_digest_is_run(flux: Fluxbase, planner: InProcess) -> None:
    approved = planned(planner)["digest"]
    other = planned(planner, "--batch-size", "7")["digest"]
    refused = apply(planner, "--plan-digest", approved)
    assert refused.code == ExitCode.CHECK_SAYS_NO
    assert f"--plan-digest: planned {approved}, found {other}" in refused.stdout
    assert under_old_key(flux) == 20
    assert apply(planner, "--plan-digest", other.upper().replace("SHA", "sha")).code == ExitCode.DONE
