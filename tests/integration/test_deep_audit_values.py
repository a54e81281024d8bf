"""A deep audit finds a sealed value in any form inside another value, and tries the keys of users in the row."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.fixtures.deep_audit import found, search
from tests.fixtures.fluxbase import NEW, OLD, STRANGER, Fluxbase, break_lines, seal
from tests.fixtures.plugin import T, put

WAYS: dict[str, Callable[[str], str]] = {
    "alone": str,
    "with line breaks": break_lines,
    "a line of a log": lambda text: f"2026-01-01 WARN sealed={text}, next",
    "a path": lambda text: f"/secrets/{text}",
    "JSON with escaped slashes": lambda text: json.dumps({"a": text}).replace("/", "\\/"),
    "JSON with escaped signs": lambda text: json.dumps({"a": text}).replace("+", "\\u002b").replace("/", "\\u002F"),
    "JSON of escapes alone": lambda text: '{"a": "' + "".join(f"\\u{ord(c):04x}" for c in text) + '"}',
    "JSON within JSON": lambda text: json.dumps({"a": json.dumps({"b": json.dumps([text]).replace("/", "\\/")})}),
    "JSON with line breaks": lambda text: json.dumps({"a": break_lines(text)}),
    "a form": lambda text: "grant=x&token=" + text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
    "bytea as it is printed": lambda text: json.dumps({"body": "\\x" + text.encode().hex()}),
    "a decoded seal as it is printed": lambda text: "\\x" + base64.b64decode(text).hex(),
    "a long text": lambda text: "The customer called at noon. " * 3_000 + text + " The customer called." * 3_000,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("type_", ["text", "jsonb", "bytea", "text[]"])
def test_a_sealed_value_is_found_in_any_form_inside_a_value(plugin: Fluxbase, way: str, type_: str) -> None:
    plain = seal(OLD, "with + and /")
    while not {"+", "/"} <= set(plain):
        plain = seal(OLD, "with + and /")
    value: Any = WAYS[way](plain)
    if type_ == "jsonb":
        value = json.dumps({"text": value})
    elif type_ == "bytea":
        value = value.encode()
    elif type_ == "text[]":
        value = ["x", value]
    put(plugin, type_, value)
    assert found(search(plugin)) == {f"{T}.c": {1: 1}}


def test_values_under_two_keys_and_values_sealed_twice_count_for_each_of_their_keys(plugin: Fluxbase) -> None:
    put(plugin, "text", f"{seal(OLD, 'a')} {seal(NEW, 'b')} {seal(NEW, seal(OLD, 'c'))} {seal(STRANGER, 'd')}")
    assert found(search(plugin)) == {f"{T}.c": {1: 2, 2: 2}}


@pytest.mark.parametrize(
    ("columns", "value"),
    [
        ("owner uuid", "{}"),
        ("other uuid DEFAULT gen_random_uuid(), owner uuid", "{}"),
        ("owner text", "{}"),
        ("owner varchar(100)", "user {} of the tenant"),
        ("owner jsonb", '{{"user": {{"id": "{}"}}}}'),
        ("owner uuid[]", "{{{}}}"),
        ("owner text[]", "{{x,{}}}"),
    ],
)
@pytest.mark.parametrize("is_bytes", [False, True])
def test_the_key_of_a_user_whose_id_is_in_the_row_is_tried(
    plugin: Fluxbase,
    columns: str,
    value: str,
    is_bytes: bool,  # noqa: FBT001
) -> None:
    user = uuid4()
    put(plugin, "bytea" if is_bytes else "text", None, columns=f", {columns}")
    sealed: str | bytes = seal(OLD, "of a user", user)
    plugin.rows(
        f"INSERT INTO {T} (n, c, owner) VALUES (4, %s, %s)",
        base64.b64decode(sealed) if is_bytes else sealed,
        value.format(user),
    )
    plugin.rows(
        f"INSERT INTO {T} (n, c, owner) VALUES (5, %s, %s)",
        seal(OLD, "x", uuid4()).encode() if is_bytes else seal(OLD, "x", uuid4()),
        value.format(uuid4()),
    )
    assert found(search(plugin)) == {f"{T}.c": {1: 1}}
