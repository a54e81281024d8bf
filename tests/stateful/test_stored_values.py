"""Random texts and documents in a database: what the old key opens is moved, and everything else stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures.fluxbase import Fluxbase, open_all
from tests.stateful.test_inputs import ANY, CUT, JSON, NEW, OLD, SEALS, SETTINGS, until_the_time_is_up

_KEYS = {1: OLD, 2: NEW}
_CUT = CUT.map(lambda text: text.decode("utf-8", "ignore"))
_TEXT = st.one_of(SEALS.map(bytes.decode), ANY, _CUT).map(lambda text: text.replace("\0", ""))
_DOCUMENT = JSON.map(bytes.decode).filter(lambda text: "\\u0000" not in text)
_ROW = st.one_of(
    st.tuples(st.just("functions.secrets"), st.tuples(_TEXT)),
    st.tuples(st.just("auth.oauth_tokens"), st.tuples(_TEXT, st.none() | _TEXT, st.none() | _TEXT)),
    st.tuples(st.just("platform.instance_settings"), st.tuples(_DOCUMENT)),
)


@pytest.mark.stateful
def test_any_stored_value_goes_through_a_database_and_nothing_is_lost(flux: Fluxbase) -> None:
    @settings(SETTINGS, max_examples=10, suppress_health_check=list(HealthCheck))
    @given(rows=st.lists(_ROW, min_size=1, max_size=12))
    def one_round(rows: list[tuple[str, tuple[Any, ...]]]) -> None:
        flux.rows("TRUNCATE functions.secrets, auth.users, auth.oauth_tokens, platform.instance_settings CASCADE")
        for table, values in rows:
            if table == "functions.secrets":
                flux.secret(*values)
            elif table == "auth.oauth_tokens":
                flux.token(*values)
            else:
                flux.document(*values)
        before = _contents(flux)

        report = flux.run(source=None, keys=_KEYS, accept_undecryptable=True)

        assert report.state == "completed"
        assert report.remaining == 0
        after = _contents(flux)
        assert before.keys() == after.keys()
        for place, value in before.items():
            _assert_moved(value, after[place])
        assert flux.audit(1, keys=_KEYS).found == 0

    until_the_time_is_up(one_round)


def _contents(flux: Fluxbase) -> dict[tuple[Any, ...], Any]:
    """What is stored, by column and row. Documents are parsed."""
    found: dict[tuple[Any, ...], Any] = {}
    for column, statement in (
        ("secrets", "SELECT id, encrypted_value FROM functions.secrets"),
        ("access", "SELECT id, access_token FROM auth.oauth_tokens"),
        ("refresh", "SELECT id, refresh_token FROM auth.oauth_tokens"),
        ("identity", "SELECT id, id_token FROM auth.oauth_tokens"),
        ("documents", "SELECT id, settings FROM platform.instance_settings"),
    ):
        found |= {(column, row): value for row, value in flux.rows(statement)}
    return found


def _assert_moved(before: Any, after: Any) -> None:
    """A value under the old key is under the new one, with the same plaintext. All else is as it was."""
    if isinstance(before, dict):
        assert before.keys() == after.keys()
        for key, value in before.items():
            _assert_moved(value, after[key])
    elif isinstance(before, list):
        assert len(before) == len(after)
        for one, other in zip(before, after, strict=True):
            _assert_moved(one, other)
    elif isinstance(before, str) and 1 in (opened := open_all(before, _KEYS)).versions:
        moved = open_all(after, _KEYS)
        assert 1 not in moved.versions
        assert (len(moved.versions), moved.text) == (len(opened.versions), opened.text)
    else:
        assert before == after
