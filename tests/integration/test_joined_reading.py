"""Values that are read without their rows count like values that are read with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import UUID

import pytest

from fluxbase_cli.engine.outcome import AuditReport
from fluxbase_cli.engine.read import range_reader
from fluxbase_cli.engine.read.range_reader import RangeReader, _Width
from fluxbase_cli.store.joined_texts import TextJoiner
from tests.fixtures.columns import DOCUMENTS
from tests.fixtures.fluxbase import Fluxbase, break_lines, seal
from tests.fixtures.sealing import NEW, OLD, STRANGER

USERS = [UUID(int=number) for number in range(1, 4)]
#: One page at a time, and so narrow that the test's rows meet all widths.
_NARROW = (_Width(256, 1), _Width(2_048, 1), _Width(16_384, 1))


def account(report: AuditReport) -> object:
    return report.locations, report.quarantine, report.quarantine.undecryptable, report.unexamined


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many whole rows were read, each time."""
    seen: list[int] = []
    read_rows = RangeReader._read_rows

    def counted(*arguments: object) -> Iterator[object]:
        for rows, result in read_rows(*arguments):  # type: ignore[arg-type]
            seen.append(rows)
            yield rows, result

    monkeypatch.setattr(RangeReader, "_read_rows", counted)
    return seen


def audits(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> tuple[AuditReport, AuditReport]:
    """The audit, and an audit that reads each value with its row."""
    joined = flux.audit()
    with monkeypatch.context() as patched:
        patched.setattr(TextJoiner, "read", lambda *_arguments: None)
        return joined, flux.audit()


@pytest.mark.parametrize("widths", [range_reader._WIDTHS, _NARROW], ids=["usual", "narrow"])
@pytest.mark.parametrize("most_odd", [1, 1000], ids=["odd values by their rows", "whole rows"])
def test_rows_of_every_kind_count_like_rows_that_are_read_whole(
    full: Fluxbase, widths: tuple[_Width, ...], most_odd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(range_reader, "_WIDTHS", widths)
    monkeypatch.setattr(range_reader, "_MANY_ODD", most_odd)
    joined, whole = audits(full, monkeypatch)
    assert account(joined) == account(whole)


def test_values_that_open_are_read_without_their_rows(flux: Fluxbase, rows_read: list[int]) -> None:
    flux.secrets(50)
    flux.secrets(20, NEW)
    users = [flux.user(seal(OLD, "TOTP"), id=user) for user in USERS]
    for number in range(12):
        flux.setting(seal(OLD, "theirs", users[number % 3]), users[number % 3])
    flux.setting(seal(NEW, "ours"))
    flux.setting(seal(NEW, "under the master key", None), users[0])
    flux.close()
    report = flux.audit()
    assert report.by_version == {1: 50 + 3 + 12, 2: 20 + 2}
    assert rows_read == []


def test_a_value_with_line_breaks_is_one_value(flux: Fluxbase, rows_read: list[int]) -> None:
    flux.secrets(3)
    flux.secret(break_lines(seal(OLD, "text")))
    # Each of its lines is a seal.
    flux.secret(f"{seal(OLD, '')}\n{seal(NEW, '')}")
    flux.close()
    report = flux.audit()
    assert (report.by_version, report.undecryptable) == ({1: 4, 2: 0}, 1)
    assert sum(rows_read) == 5


def test_a_text_under_two_users_opens_for_its_own_user_only(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    users = [flux.user(id=user) for user in USERS]
    theirs = seal(OLD, "theirs", users[0])
    flux.setting(theirs, users[0])
    for number in range(9):
        flux.setting(seal(OLD, f"{number}", users[1]), users[1])
    copied = flux.setting(theirs, users[1])
    # Without a user. Its text begins like a salt.
    flux.setting(f"{users[0]}{theirs}")
    flux.close()
    joined, whole = audits(flux, monkeypatch)
    assert joined.by_version == {1: 10, 2: 0}
    assert copied in {entry.id for entry in joined.quarantine}
    assert account(joined) == account(whole)


def test_large_values_among_small_ones_are_read_with_their_rows_only(
    flux: Fluxbase, rows_read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    flux.secrets(60)
    for size in (300, 3_000, 30_000, 300_000):
        flux.secret(seal(OLD, "x" * size))
    flux.secret(seal(STRANGER, "x" * 3_000))
    flux.close()
    joined, whole = audits(flux, monkeypatch)
    assert joined.by_version[1] == 64
    assert joined.undecryptable == 1
    assert account(joined) == account(whole)
    assert sum(rows_read) == 65  # all of them by the second audit


def test_documents_of_every_form_count_like_parsed_ones(flux: Fluxbase, monkeypatch: pytest.MonkeyPatch) -> None:
    if DOCUMENTS not in flux.columns:
        pytest.skip("this release has no documents")
    old, new, strange = seal(OLD, "old"), seal(NEW, "new"), seal(STRANGER, "strange")
    twice = seal(OLD, seal(NEW, "inner"))
    deep: object = old
    for _ in range(300):
        deep = [deep]
    for document in (
        {"a": old, "b": [new, {"c": old}], "n": [1.10, 587, 1e300, True, None]},
        {old: "a name", "name": {new: 1, "x": old}},
        {"escaped": f'"{old}', "quoted": f'a "{new}" b', "path": "a\\b", "line": break_lines(old)},
        {"smtp_password": strange, "other": old},
        {"nothing": strange, "site_key": "0123456789abcdef0123456789abcdef01234567", "x": new},
        {"twice": twice, "é": "ü" * 50 + old},
        old,
        [old, "A" * 40, "=" * 40, "AB==" * 10, old[:-1]],
        deep,
        {"large": "x" * 5_000, "old": old},
        {"many": [old] * 60},
        {},
    ):
        flux.document(json.dumps(document))
    flux.close()
    joined, whole = audits(flux, monkeypatch)
    assert account(joined) == account(whole)
    assert joined.locations["platform.instance_settings.settings"].by_version[1] > 60


def test_a_table_with_mostly_other_texts_is_read_with_its_rows(flux: Fluxbase, rows_read: list[int]) -> None:
    for number in range(40):
        flux.user(f"JBSWY3DPEHPK3PXPJBSWY3DPEHPK{number:04}")
    flux.user(seal(OLD, "TOTP"))
    flux.close()
    report = flux.audit()
    assert report.plaintext == 40
    assert report.by_version[1] == 1
    assert sum(rows_read) == 41
