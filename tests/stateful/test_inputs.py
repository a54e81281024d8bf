"""Random files, addresses, sealed texts and documents: no traceback, no wrong exit code, and no secret is told.

`FLUXBASE_TEST_FUZZ_MINUTES` says how long each of the tests runs. Everything is in this process: the command line is
called as its entry point does it, with an address at which no server listens.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fluxbase_cli.catalogue.locations import CATALOGUE
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.run.resealer import RowResealer
from fluxbase_cli.keyring import Key, Keyring, Opener
from fluxbase_cli.seal import Sealer
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.rows import RowList
from tests.fixtures.in_process import InProcess

#: A few seconds in the ordinary suite.
_MINUTES = float(os.environ.get("FLUXBASE_TEST_FUZZ_MINUTES", "0.05"))
SETTINGS = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    print_blob=True,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
_CODES = {0, 1, 2, 3, 4}
OLD, NEW = bytes(range(7, 39)), bytes(range(107, 139))
#: In every random file or address. None of it may be printed.
_SECRET = "marker-of-a-secret-31337"
_KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f000112233445566778899aabbccddeeff"
_CLOSED = "postgresql://somebody@127.0.0.1:1/nowhere?connect_timeout=1"
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_WORDS = st.sampled_from(
    (
        *("security", "encryption", "keys", "version", "key", "provider", "active_key_version", "encryption_key"),
        *("server", "key_rotation", "schedule", "vault", "aws_kms", "env", "true", "1", "2", "-1", "~", "<<", "*a"),
        *("&a", "!!binary", "${X}", "{{ vault `x/y` }}", _KEY, _SECRET, "database", "url", "[", "{", "- ", ": "),
        *("\n", "\t", "#", "'", '"', "|"),
    )
)
_YAML = st.one_of(
    st.lists(st.one_of(_WORDS, ANY), max_size=30).map("".join),
    st.recursive(
        st.one_of(_WORDS, st.integers(), st.booleans(), st.none(), ANY),
        lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(_WORDS, below, max_size=5)),
        max_leaves=25,
    ).map(lambda tree: json.dumps(tree, ensure_ascii=False)),
)
_FILE = st.one_of(_YAML.map(str.encode), st.binary(max_size=200))
_SECTION = st.dictionaries(
    st.sampled_from(["keys", "active_key_version", "provider", "encryption_key", "server", "key_rotation", "vault"]),
    st.recursive(
        st.one_of(st.integers(-3, 5), st.just(_KEY), st.just(_SECRET), ANY, st.booleans(), st.none()),
        lambda below: st.one_of(
            st.lists(below, max_size=3),
            st.dictionaries(
                st.sampled_from(["version", "key", "provider", "env_file", "schedule", "x"]), below, max_size=4
            ),
        ),
        max_leaves=12,
    ),
).map(lambda section: json.dumps({"security": {"encryption": section}}).encode())
_ADDRESS = st.one_of(
    st.lists(
        st.sampled_from(
            (
                *(
                    "postgres://",
                    "postgresql://",
                    "user",
                    f":{_SECRET}",
                    "@",
                    "127.0.0.1",
                    ":1",
                    "/db",
                    "?",
                    "&",
                    "%00",
                ),
                *("%", "[::1]", "host=127.0.0.1", "port=1", f"password={_SECRET}", "options=-c x=1", " ", "'", "\\"),
                *(",", "sslmode=require", "="),
            )
        ),
        max_size=9,
    ).map("".join),
    ANY.map(lambda text: f"postgresql://u:{_SECRET}{text}@127.0.0.1:1/d"),
)


def until_the_time_is_up(one_round: Callable[[], None]) -> None:
    ends = time.monotonic() + 60 * _MINUTES
    while True:
        one_round()
        if time.monotonic() > ends:
            break


def _run(folder: Path, *arguments: str, **environment: str) -> None:
    """Run the command line in this process, and check what it prints and how it ends."""
    outcome = InProcess(folder, environment)(*arguments)
    code, said = outcome.code, outcome.all
    assert code in _CODES, (code, said)
    assert "unexpected" not in said, said
    assert "Traceback" not in said, said
    assert _SECRET not in said, said
    assert _KEY not in said, said
    assert all(line.isprintable() for line in said.replace("\t", " ").splitlines()), said
    if "json" in arguments and code == 0:
        json.loads(outcome.stdout)


@pytest.mark.stateful
def test_any_configuration_and_env_file_end_in_one_line() -> None:
    @SETTINGS
    @given(content=st.one_of(_FILE, _SECTION), env=st.one_of(_FILE, st.none()), command=st.sampled_from(_COMMANDS))
    def one_round(content: bytes, env: bytes | None, command: tuple[str, ...]) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "fluxbase.yaml").write_bytes(content)
            if env is not None:
                (folder / ".env").write_bytes(env)
            (folder / "locations.yaml").write_bytes(content)
            _run(folder, *command, FLUXBASE_DATABASE_URL=_CLOSED)

    until_the_time_is_up(one_round)


_COMMANDS = (
    ("config", "check"),
    ("keys", "list", "-o", "json"),
    ("rotation", "plan"),
    ("secrets", "audit", "--locations", "locations.yaml"),
    ("secrets", "audit", "--fleet", "locations.yaml"),
    ("keys", "generate"),
)


@pytest.mark.stateful
def test_any_address_ends_in_one_line_without_its_password() -> None:
    @SETTINGS
    @given(address=_ADDRESS.filter(lambda text: "\0" not in text))
    def one_round(address: str) -> None:
        with tempfile.TemporaryDirectory() as name:
            _run(
                Path(name),
                "secrets",
                "status",
                FLUXBASE_DATABASE_URL=address,
                FLUXBASE_SECRET_KEY_1=_KEY,
                # Wherever the address points to, nobody answers.
                PGHOST="127.0.0.1",
                PGPORT="1",
                PGCONNECT_TIMEOUT="1",
            )

    until_the_time_is_up(one_round)


_RELATIONS = tuple(
    Relation(table, table.schema, table.name, table.columns, table.user_column, table.flag_column)
    for table in CATALOGUE
)
_RING = Keyring((Key(1, OLD), Key(2, NEW)))
SEALS = st.sampled_from([Sealer(OLD).seal(b"plain"), Sealer(NEW).seal(b"plain"), Sealer(b"x" * 32).seal(b"plain")])
CUT = st.tuples(SEALS, st.integers(0, 60), st.binary(max_size=3)).map(lambda each: each[0][: each[1]] + each[2])
_STORED = st.one_of(st.none(), SEALS, st.binary(max_size=80), CUT)
_STRINGS = st.one_of(SEALS.map(bytes.decode), ANY, st.text(max_size=5))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), st.integers(), _STRINGS),
    lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(_STRINGS, below, max_size=4)),
    max_leaves=20,
).map(lambda tree: json.dumps(tree).encode())


@pytest.mark.stateful
def test_any_stored_value_is_moved_or_listed_and_nothing_is_lost() -> None:
    @SETTINGS
    @given(data=st.data(), relation=st.sampled_from(_RELATIONS))
    def one_round(data: Any, relation: Relation) -> None:
        fields = [
            data.draw(st.one_of(st.none(), JSON) if column.form.name == "JSON" else _STORED)
            for column in relation.columns
        ]
        if relation.user_column is not None:
            fields.append(UUID(int=5).bytes)
        if relation.flag_column is not None:
            fields.append(data.draw(st.booleans()))
        row = (bytes(6), UUID(int=1).bytes, *fields)

        result = RowResealer(relation, Opener(_RING), Goal(2)).process(RowList([row]))

        # Each sealed value is counted once, and each that no key opens is listed.
        assert sum(tally.undecryptable for tally in result.tallies) == len(result.quarantine)
        for edit in result.edits:
            again = RowResealer(relation, Opener(_RING), Goal(2)).process(RowList([_after(relation, edit)]))
            assert not again.edits
            assert [tally.scanned for tally in again.tallies] == [tally.scanned for tally in result.tallies]

    until_the_time_is_up(one_round)


def _after(relation: Relation, edit: Any) -> tuple[Any, ...]:
    """The row as it is after an edit."""
    row, new = edit
    fields = list(row)
    for index, (column, value) in enumerate(zip(relation.columns, new, strict=True), start=2):
        if column.form.name != "JSON":
            fields[index] = value
        elif value:
            root = json.loads(fields[index])
            for leaf in value:
                root = _set(root, leaf.path, leaf.value)
            fields[index] = json.dumps(root).encode()
    return tuple(fields)


def _set(node: Any, path: tuple[str, ...], value: str) -> Any:
    if not path:
        return value
    key: Any = int(path[0]) if isinstance(node, list) else path[0]
    node[key] = _set(node[key], path[1:], value)
    return node
