"""The report of a job: all that its record has, in JSON and Markdown, nothing secret, and names only as names."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.evidence.collect import Subject, collect
from fluxbase_cli.report.evidence.markdown import to_markdown
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.schema import migrations
from tests.fixtures.fluxbase import NEW, OLD, SECRETS, STRANGER, USERS, Fluxbase, Role, fill, seal
from tests.fixtures.in_process import InProcess
from tests.fixtures.reporting import checked

_FIRST_RELEASE = Path(__file__).parents[1] / "data" / "schema-0.1.0.sql"


def test_a_report_says_what_where_who_when_why_and_what_was_found(flux: Fluxbase, reporting: InProcess) -> None:
    flux.secrets(20)
    flux.secrets(5, NEW)
    bad = flux.secret(seal(STRANGER, "x"))
    flux.run(reason="CHG-4711")

    outcome = reporting("secrets", "report", "--format", "json")

    assert (outcome.code, outcome.stderr) == (0, "")
    report = checked(outcome.json)
    assert report["subject"] == {"kind": "job", "number": 1}
    assert report["database"]["name"] == flux.database.name
    assert report["database"]["cluster"] == str(flux.value("SELECT system_identifier FROM pg_control_system()"))
    [job] = report["jobs"]
    assert (job["kind"], job["state"], job["reason"]) == ("re-encrypt", "completed", "CHG-4711")
    assert (job["from_version"], job["to_version"]) == (1, 2)
    assert job["began_by"]["db_user"] == flux.value("SELECT session_user::text")
    assert job["started_at"] < job["finished_at"] < report["generated"]["at"]
    [location] = job["locations"]
    assert location["location"] == SECRETS
    others = {"other_versions": 0, "undecryptable": 1, "plaintext": 0}
    assert location["before"] == {"old_key": 20, "new_key": 5, **others}
    assert location["after"] == {"old_key": 0, "new_key": 25, **others}
    assert job["totals"] == {name: value for name, value in location.items() if name != "location"}
    assert [each["id"] for each in job["quarantine"]] == [str(bad)]
    assert job["closing_audit"]["is_complete"]
    assert job["closing_audit"]["remaining"] == 0
    assert [each["what"] for each in job["events"]] == ["started", "completed"]
    assert [each["values_done"] for each in job["progress"]][-1] == 26
    assert job["waits"] == []
    assert [(each["version"], each["role"], each["state"]) for each in report["keys"]] == [
        (1, "old", "enabled"),
        (2, "new", "enabled"),
    ]
    assert report["keys"][0]["values_moved_away_at"] == job["finished_at"]
    assert {(each["standard"], each["number"]) for each in report["requirements"]} >= {
        ("PCI DSS v4.0.1", "3.7.4"),
        ("PCI DSS v4.0.1", "3.7.5"),
    }


def test_the_same_is_in_the_markdown_with_times_in_utc(flux: Fluxbase, reporting: InProcess) -> None:
    flux.secrets(3)
    flux.run(reason="CHG-4711")

    text = reporting("secrets", "report", "1").stdout

    assert text.startswith("# fluxbase-cli report. Job 1: version 1 to version 2\n")
    assert "Job 1 (re-encrypt) is completed. It moved 3 of 3 values to key version 2." in text
    assert "- **Reason**: CHG-4711\n" in text
    assert f"| `{SECRETS}` | 3 | 0 | 0 | 3 | 0 | 0 | 0 |" in text
    assert "The old key, version 1: It is kept." in text
    started = flux.value(
        "SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM fluxbase_rotation.job"
    )
    assert f"- **Begun**: {started} UTC\n" in text


def test_the_form_follows_the_options_or_the_name_of_the_file(flux: Fluxbase, reporting: InProcess) -> None:
    flux.secrets(1)
    flux.run()
    out = reporting.directory / "job.json"

    told = reporting("secrets", "report", "--out", str(out))

    assert (told.code, told.stdout) == (0, "")
    assert told.stderr == f"✓ Wrote {out}\n"
    assert out.stat().st_mode & 0o777 == 0o600
    checked(json.loads(out.read_text(encoding="utf-8")))
    assert reporting("secrets", "report", "-o", "json").json["schema"] == "fluxbase-cli/report/v1"
    assert "schema: fluxbase-cli/report/v1\n" in reporting("-o", "yaml", "secrets", "report").stdout
    both = reporting("secrets", "report", "-o", "json", "--format", "markdown")
    assert (both.code, both.stdout) == (2, "")
    link = reporting.directory / "link.md"
    link.symlink_to(out)
    refused = reporting("secrets", "report", "--out", str(link))
    assert refused.code == 2
    assert "is a link" in refused.stderr


def test_what_is_not_there_is_one_line(flux: Fluxbase, reporting: InProcess) -> None:
    flux.secrets(1)
    flux.run()

    for arguments, says in (
        (("9",), "there is no job 9 on this database"),
        (("--rotation", "0"), "no rotation has run on this database yet"),
        (("1", "--rotation", "1"), "JOB and --rotation can't go together"),
        (("none",), "'none' is not a whole number"),
    ):
        outcome = reporting("secrets", "report", *arguments)

        assert (outcome.code, outcome.stdout) == (2, "")
        assert says in outcome.stderr


def test_a_database_without_a_job_has_nothing_to_report(flux: Fluxbase, reporting: InProcess) -> None:
    outcome = reporting("secrets", "report")

    assert (outcome.code, outcome.stdout) == (2, "")
    assert "no job has run on this database yet" in outcome.stderr
    assert flux.value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'fluxbase_rot%%'") == 0


def test_an_unfinished_job_is_reported_as_it_is(flux: Fluxbase, reporting: InProcess) -> None:
    flux.secrets(1)
    flux.run()
    flux.rows("UPDATE fluxbase_rotation.job SET state = 'failed', error = 'a disk is full', finished_at = NULL")

    report = checked(reporting("secrets", "report", "-o", "json").json)
    text = reporting("secrets", "report").stdout

    assert report["jobs"][0]["state"] == "failed"
    assert not report["jobs"][0]["closing_audit"]["is_complete"]
    assert report["keys"][0]["values_moved_away_at"] is None
    assert "- **Error**: a disk is full\n" in text
    assert "The job is not completed, so there is no closing audit yet." in text


def test_a_job_of_an_earlier_release_is_reported_with_what_it_recorded(flux: Fluxbase, reporting: InProcess) -> None:
    flux.rows(_FIRST_RELEASE.read_text(encoding="utf-8"))
    flux.rows(
        "INSERT INTO fluxbase_rotation.job"
        " (kind, state, to_version, fingerprints, catalogue, began, horizon, storage)"
        """ VALUES ('re-encrypt', 'completed', 2, '{"1": "aa", "2": "bb"}', '', '3', '3', '{}')"""
    )

    report = checked(reporting("secrets", "report", "-o", "json").json)
    text = reporting("secrets", "report").stdout

    [job] = report["jobs"]
    assert (job["progress"], job["waits"], job["began_by"], report["rotation"]) == (None, None, None, None)
    assert "Progress over time: not recorded." in text
    assert "Waits: not recorded." in text
    assert "- **Begun by**: not recorded\n" in text


def test_the_tables_of_every_version_can_be_reported(flux: Fluxbase, reporting: InProcess) -> None:
    flux.rows("CREATE SCHEMA fluxbase_rotation")
    for migration in migrations():
        flux.rows(migration.text)
        flux.rows(
            "COMMENT ON SCHEMA fluxbase_rotation IS"
            f" 'fluxbase-cli: progress of key rotations, version {migration.version}'"
        )
        flux.rows(
            "INSERT INTO fluxbase_rotation.job"
            " (kind, state, to_version, fingerprints, catalogue, began, horizon, storage)"
            " VALUES ('re-encrypt', 'completed', 2, '{}', '', '3', '3', '{}')"
        )

        report = checked(reporting("secrets", "report", "-o", "json").json)

        assert (report["jobs"][0]["progress"] is None) == (migration.version < 9)


def test_what_became_of_the_old_key_is_told(flux: Fluxbase, reporting: InProcess) -> None:
    flux.secrets(3)
    flux.run()
    fingerprint = flux.value("SELECT fingerprints ->> '1' FROM fluxbase_rotation.job")
    flux.rows("INSERT INTO fluxbase_keys.key (version, fingerprint) VALUES (1, %s) ON CONFLICT DO NOTHING", fingerprint)
    for what, detail in (
        ("key-disabled", {"keep_until": "2030-01-01T00:00:00+00:00", "census": []}),
        ("key-destroyed", {"gone": False, "left_to_do": ["remove it from the safe"], "skipped": [{"what": "copies"}]}),
    ):
        flux.rows(
            "INSERT INTO fluxbase_keys.event (key, os_user, host, what, reason, detail)"
            " SELECT id, 'ada', 'here', %s, 'CHG-1', %s FROM fluxbase_keys.key WHERE version = 1",
            what,
            json.dumps(detail),
        )

    old = checked(reporting("secrets", "report", "-o", "json").json)["keys"][0]
    text = reporting("secrets", "report").stdout

    assert (old["state"], old["keep_until"]) == ("destroyed", "2030-01-01T00:00:00+00:00")
    assert old["disabled_at"] < old["destroyed_at"]
    assert [each["os_user"] for each in old["events"]] == ["ada", "ada"]
    assert "What became of the old key, version 1: It was destroyed." in text
    assert "skipped: copies; left to do: remove it from the safe" in text


def test_a_role_that_may_only_read_the_progress_tables_is_enough(
    flux: Fluxbase, reporting: InProcess, role: Role
) -> None:
    flux.secrets(1)
    flux.run()
    for schema in ("fluxbase_rotation", "fluxbase_keys"):
        flux.rows(f"GRANT USAGE ON SCHEMA {schema} TO {role.name}")
        flux.rows(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role.name}")

    report = collect(role.database, Subject())

    assert checked(report)["jobs"][0]["state"] == "completed"


def test_no_key_and_no_value_is_in_a_report(flux: Fluxbase, reporting: InProcess) -> None:
    sealed = seal(OLD, "hunter2-hunter2")
    flux.secret(sealed)
    flux.secret(seal(STRANGER, "hunter3-hunter3"))
    flux.run()
    stored = [value for (value,) in flux.rows("SELECT encrypted_value FROM functions.secrets")]

    for form in ("json", "markdown", "yaml"):
        text = reporting("secrets", "report", "--format", form).stdout
        keys = [each for key in (OLD, NEW, STRANGER) for each in (key.hex(), base64.b64encode(key).decode())]
        for secret in ("hunter", *stored, sealed, *keys):
            assert secret not in text


#: What names and reasons may hold.
_HOSTILE = (
    "</td><script>alert(1)</script> | `x` [a](javascript:b) <img src=x onerror=1>\n# Passed\r\x1b[2J\u202e"
    " http://evil.example www.evil.example @ada ~~x~~ **x** __x__ &lt; $x$ \\"
)


def test_a_hostile_reason_and_name_stay_text_on_one_line(flux: Fluxbase, reporting: InProcess) -> None:
    flux.secrets(1)
    flux.run(reason=_HOSTILE)
    with flux.connect() as connection:
        JobStore(connection).events.add("tuned", job=1, reason=_HOSTILE, detail={_HOSTILE: _HOSTILE})

    report = checked(reporting("secrets", "report", "-o", "json").json)
    text = reporting("secrets", "report").stdout

    assert report["jobs"][0]["reason"] == _HOSTILE.strip()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\n# Passed" not in text
    unescaped = re.sub(r"\\.", "", text)
    for dangerous in ("<script", "<img", "](javascript", "http://", "www.evil", "@ada", "~~x", "**x", "`x`"):
        assert dangerous not in unescaped
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert all(line.startswith(("# fluxbase-cli report", "## ")) for line in headings)


@given(st.text())
def test_no_text_begins_anything_in_markdown(text: str) -> None:
    from fluxbase_cli.report.evidence.markdown import _escaped  # noqa: PLC0415

    shown = _escaped(text)

    assert len(shown.splitlines()) <= 1
    plain = shown.replace("\\\\", "")
    for mark in "`*_[]<>#|~&@$":
        assert plain.count(mark) == plain.count(f"\\{mark}")


def test_a_name_with_a_bar_or_a_quote_stays_in_its_cell() -> None:
    from fluxbase_cli.report.evidence.blocks import Code  # noqa: PLC0415
    from fluxbase_cli.report.evidence.markdown import _cell  # noqa: PLC0415

    assert _cell(Code("a.b.c")) == "`a.b.c`"
    assert _cell(Code("a|b")) == "a\\|b"
    assert _cell(Code("a`b")) == "a\\`b"
    assert _cell(Code("\x1b[2J")) == "\\\\x1b\\[2J"
    assert _cell(Code("")) == ""


def test_values_of_users_and_documents_are_counted_in_their_locations(flux: Fluxbase, reporting: InProcess) -> None:
    fill(flux)
    flux.run()

    job = checked(reporting("secrets", "report", "-o", "json").json)["jobs"][0]

    names = [each["location"] for each in job["locations"]]
    assert names == sorted(names)
    assert USERS in names
    for when in ("before", "after"):
        assert sum(sum(each[when].values()) for each in job["locations"]) == sum(job["totals"][when].values())
    before, after = job["totals"]["before"], job["totals"]["after"]
    assert (before["old_key"] + before["new_key"], 0) == (after["new_key"], after["old_key"])
    assert to_markdown(collect(flux.database, Subject(1)))
