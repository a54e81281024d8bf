"""What an operator reads when a key may not be destroyed: the exact text of each reason, with the way out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fluxbase_cli.keys import interlocks
from fluxbase_cli.keys.interlocks import NeededBy
from fluxbase_cli.store.key_records import KeyEvent, KeyRecord
from fluxbase_cli.store.records import Job, JobKind, JobState

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
WEEK = timedelta(days=7)


def shown(moment: datetime) -> str:
    """A time in the time zone of the machine."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M %Z}"


def job(state: JobState) -> Job:
    return Job(
        id=7,
        kind=JobKind.RE_ENCRYPT,
        state=state,
        from_version=1,
        to_version=2,
        reason=None,
        fingerprints={},
        catalogue="",
        pass_number=0,
        began=1,
        horizon=1,
        news_from=None,
        storage=(),
        full_census=False,
        total_rows=0,
        remaining=None,
        error=None,
        created_at=NOW,
        finished_at=None,
    )


def test_an_unfinished_job_is_named() -> None:
    assert interlocks.while_a_job_is_unfinished(None) == []
    assert interlocks.while_a_job_is_unfinished(job(JobState.INTERRUPTED)) == [
        "job 7 (re-encrypt) is interrupted: let it end first (`fluxbase-cli secrets status` shows it)"
    ]


def test_values_are_counted_by_location_and_the_database_is_named_if_there_are_several() -> None:
    found = {"app.settings.encrypted_value": 2, "auth.users.totp_secret": 0, "public.notes.body": 1}
    needed_by = NeededBy("main", found, 3, unlisted=frozenset({"public.notes.body"}))
    alone = [
        (
            "2 values open under version 4 (app.settings.encrypted_value 2): "
            "`fluxbase-cli secrets re-encrypt --from-version 4` moves them"
        ),
        (
            "1 value opens under version 4 (public.notes.body 1), which no release of Fluxbase has: "
            "name the place in a file for --locations, so that re-encrypt moves them, "
            "or leave it out there with a reason"
        ),
        (
            "3 values open under no key, and nobody can say which one they need: "
            "look at `fluxbase-cli secrets audit`, or pass --accept-undecryptable"
        ),
    ]
    assert interlocks.while_needed(4, [needed_by], accept_undecryptable=False) == alone
    assert interlocks.while_needed(4, [needed_by], accept_undecryptable=True) == alone[:2]

    both = {"app.settings.encrypted_value": 2, "auth.users.totp_secret": 1}
    secondary = NeededBy("branch_a", both, 1)
    assert interlocks.while_needed(4, [NeededBy("main", {}, 0), secondary], accept_undecryptable=False) == [
        (
            "3 values open under version 4 of database branch_a "
            "(app.settings.encrypted_value 2, auth.users.totp_secret 1):"
            " `fluxbase-cli secrets re-encrypt --from-version 4` moves them"
        ),
        (
            "1 value of database branch_a opens under no key, and nobody can say which one it needs: "
            "look at `fluxbase-cli secrets audit`, or pass --accept-undecryptable"
        ),
    ]
    assert secondary.total == 3


def test_the_reason_says_the_order_of_the_steps() -> None:
    assert interlocks.before_it_is_disabled(3, disabled=False) == [
        (
            "version 3 is not disabled yet: `fluxbase-cli keys destroy --key-version 3` without --confirm does that, "
            "--now does both steps"
        )
    ]
    assert interlocks.while_active(3, 3) == [
        "version 3 is the active one: first set active_key_version to another version, and restart the server"
    ]


def test_a_waiting_time_is_named_with_its_end() -> None:
    assert interlocks.before_it_has_cooled_off(NOW, WEEK, NOW) == [
        f"it cools off for 7d since it was disabled, until {shown(NOW + WEEK)}: wait, or pass --now in an emergency"
    ]
    assert interlocks.before_backups_have_passed(NOW + WEEK, NOW - WEEK, 2 * WEEK, NOW) == [
        f"it must be kept until {shown(NOW + WEEK)} (--keep-until): wait until then",
        (
            f"backups of the last 14d may need it, until {shown(NOW + WEEK)} "
            "(security.encryption.key_destruction.backup_horizon): wait until then"
        ),
    ]


def test_a_standby_and_concurrent_work_are_reasons_to_refuse() -> None:
    assert interlocks.on_a_standby(standby=False) == []
    assert interlocks.on_a_standby(standby=True) == [
        "this server is a standby, which is read-only and does not see what its primary writes: use the primary"
    ]
    assert interlocks.while_another_is_at_work() == [
        "another process destroys or disables a key on this database: run this again when it has ended"
    ]
    assert interlocks.after_a_job_began(5, 5) == []
    assert interlocks.after_a_job_began(5, 6) == ["a job was begun during the audit: run this again when it has ended"]
    assert interlocks.while_jobs_run_beside({}) == []
    assert interlocks.while_jobs_run_beside({"branch_a": 3}) == [
        "job 3 is running in database branch_a: let it end first"
    ]


def test_a_key_that_another_command_destroyed_is_not_destroyed_twice() -> None:
    destroyed = KeyRecord(1, "58352c770942498e", KeyEvent.DESTROYED, NOW, "postgres", "ann", "host-a", None, {})
    assert interlocks.after_it_was_destroyed(None) == []
    assert interlocks.after_it_was_destroyed(destroyed) == [
        "it was destroyed meanwhile, by ann on host-a: run this again to see what is left to do"
    ]
    disabled = KeyRecord(1, "58352c770942498e", KeyEvent.DISABLED, NOW, "postgres", "ann", "host-a", None, {})
    assert interlocks.after_it_was_destroyed(disabled) == []


def test_the_reason_shows_the_fingerprint_that_confirms() -> None:
    assert interlocks.unless_confirmed("58352c770942498e", "5fbbcb26efd25aa5") == [
        "--confirm does not name this key: its fingerprint is 58352c770942498e"
    ]
