"""The report on standbys and slots that are behind an audit, from what PostgreSQL says about them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fluxbase_cli.keys import interlocks
from fluxbase_cli.proof import standbys
from fluxbase_cli.proof.standbys import Standbys, synchronous_names
from fluxbase_cli.store.replication import Receiver, Seen, Slot
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind

LSN, BEFORE = "0/5000000", "0/4000000"
AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def receiver(  # noqa: PLR0917  # what PostgreSQL says
    name: str = "replica-1",
    reached: bool = True,  # noqa: FBT001, FBT002
    replays: bool = True,  # noqa: FBT001, FBT002
    hidden: bool = False,  # noqa: FBT001, FBT002
    slot: str | None = None,
    logical: bool = False,  # noqa: FBT001, FBT002
) -> Receiver:
    return Receiver(name, hidden, replays, None if hidden else LSN if reached else BEFORE, reached, None, slot, logical)


def behind(*connected: Receiver) -> list[str]:
    return [str(each) for each in standbys._behind(connected, LSN, "fluxbase")]


def slots_behind(slot: Slot, *connected: Receiver) -> list[str]:
    return [str(each) for each in standbys._slots_behind([slot], connected, LSN)]


def test_a_standby_that_has_replayed_all_that_was_audited_is_not_reported() -> None:
    assert behind(receiver()) == []


def test_a_standby_that_is_behind_is_named_with_both_positions() -> None:
    (line,) = behind(receiver(), receiver("replica-2", reached=False))
    assert line.startswith("standby replica-2: it has replayed up to 0/4000000, and what was audited ends at 0/5000000")


def test_a_receiver_that_only_stores_wal_is_measured_by_what_it_has_stored() -> None:
    (line,) = behind(receiver("barman", reached=False, replays=False))
    assert "it has stored the WAL up to 0/4000000" in line
    assert behind(receiver("barman", replays=False)) == []


def test_a_standby_that_this_role_may_not_read_is_reported_with_the_needed_grant() -> None:
    (line,) = behind(receiver(hidden=True, reached=False, replays=False))
    assert 'GRANT pg_monitor TO "fluxbase"' in line


@pytest.mark.parametrize("logical", [False, True])
def test_a_slot_that_nobody_uses_is_reported_at_every_position(logical: bool) -> None:  # noqa: FBT001
    (line,) = slots_behind(Slot("s1", logical=logical, active=False, lsn=LSN, reached=True))
    assert line.startswith(f"standby {'logical ' if logical else ''}slot s1: nobody is connected to it")
    assert "pg_drop_replication_slot('s1')" in line


def test_a_slot_that_is_behind_is_reported_once_together_with_its_standby() -> None:
    slot = Slot("s1", logical=False, active=True, lsn=BEFORE, reached=False)
    assert slots_behind(slot, receiver(slot="s1", reached=False)) == []
    assert len(slots_behind(slot, receiver(slot="s1"))) == 1
    # Only the slot of a subscription shows how far it is behind.
    decoded = Slot("s1", logical=True, active=True, lsn=BEFORE, reached=False)
    assert len(slots_behind(decoded, receiver("sub", slot="s1", reached=False, logical=True))) == 1
    assert behind(receiver("sub", slot="s1", reached=False, logical=True)) == []


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("", ()),
        ("*", ()),
        ("replica-1", ("replica-1",)),
        (" a , b ", ("a", "b")),
        ("2 (a, b)", ("a", "b")),
        ("FIRST 2 (a, *)", ("a",)),
        ('any 1("b c",d)', ("b c", "d")),
        ("first", ("first",)),
    ],
)
def test_the_names_of_synchronous_standbys_are_read(setting: str, names: tuple[str, ...]) -> None:
    assert synchronous_names(setting) == names


def test_a_synchronous_standby_that_is_not_connected_is_reported_in_any_case_of_letters() -> None:
    assert [each.where for each in standbys._not_connected(["Replica-1", "other"], [receiver()])] == ["other"]


def test_if_two_standbys_have_one_name_a_missing_one_is_noticed() -> None:
    seen = {"walreceiver": Seen(2, AT), "replica-1": Seen(1, AT)}
    assert list(standbys._gone(seen, [receiver(), receiver("walreceiver")])) == ["walreceiver"]
    assert list(standbys._gone(seen, [receiver(), receiver("walreceiver"), receiver("walreceiver")])) == []


def test_each_finding_is_a_reason_to_refuse_unless_standbys_are_skipped() -> None:
    found = Standbys(LSN, unexamined=(Unexamined(UnexaminedKind.STANDBY, "replica-1", "it is behind"),))
    (reason,) = interlocks.while_standbys_are_behind(found, skip=False)
    assert reason == "standby replica-1: it is behind (--skip-standbys continues anyway)"
    assert interlocks.while_standbys_are_behind(found, skip=True) == []


def test_a_base_backup_and_a_subscription_are_not_standbys() -> None:
    assert receiver().is_standby
    assert receiver(hidden=True, replays=False).is_standby
    assert not receiver("pg_basebackup", hidden=True, replays=False).is_standby
    assert not receiver("pg_receivewal", replays=False).is_standby
    assert not receiver("sub", logical=True).is_standby
