"""In which column types does a deep audit find sealed values? In all types that can hold a text."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.fixtures.deep_audit import found, search
from tests.fixtures.fluxbase import OLD, Fluxbase, seal
from tests.fixtures.plugin import T, ask_as_superuser, put

TYPES: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "text": ("text", str, "%s"),
    "varchar": ("varchar(300)", str, "%s"),
    "char": ("char(300)", str, "%s"),
    "name": ("name", str, "%s"),
    "another collation": ('text COLLATE "C"', str, "%s"),
    "json": ("json", lambda text: json.dumps({"a": [text]}), "%s"),
    "jsonb": ("jsonb", lambda text: json.dumps({"a": [text]}), "%s"),
    "a key of jsonb": ("jsonb", lambda text: json.dumps({"a": {text: 1}}), "%s"),
    "bytea with a text": ("bytea", str.encode, "%s"),
    "bytea with JSON": ("bytea", lambda text: json.dumps({"a": text.replace("/", "\\/")}).encode(), "%s"),
    "bytea with a decoded seal": ("bytea", base64.b64decode, "%s"),
    "long bytea with a text": ("bytea", lambda text: os.urandom(9_000) + b'"' + text.encode() + b'"\xff', "%s"),
    "text array": ("text[]", lambda text: ["x", text, None], "%s"),
    "two dimensions": ("text[]", lambda text: [["x", "y"], [text, "z"]], "%s"),
    "varchar array": ("varchar(300)[]", lambda text: [text], "%s::varchar[]"),
    "json array": ("json[]", lambda text: [json.dumps({"a": text})], "%s::json[]"),
    "jsonb array": ("jsonb[]", lambda text: [json.dumps({"a": text})], "%s::jsonb[]"),
    "bytea array with texts": ("bytea[]", lambda text: [text.encode()], "%s"),
    "bytea array with decoded seals": ("bytea[]", lambda text: [base64.b64decode(text)], "%s"),
    "domain": ("plugin.words", str, "%s"),
    "domain of a domain": ("plugin.few_words", str, "%s"),
    "domain of an array": ("plugin.lists", lambda text: [text], "%s"),
    "array of a domain": ("plugin.words[]", lambda text: [text], "%s::plugin.words[]"),
    "composite type": ("plugin.pair", str, "ROW('x', %s, NULL)::plugin.pair"),
    "bytea in a composite type": ("plugin.pair", str.encode, "ROW('x', NULL, %s)::plugin.pair"),
    "array of a composite type": ("plugin.pair[]", str, "ARRAY[ROW('x', %s, NULL)::plugin.pair]"),
}


@pytest.mark.parametrize("kind", TYPES)
def test_a_sealed_value_is_found_in_every_type_of_column(plugin: Fluxbase, kind: str) -> None:
    ask_as_superuser(
        plugin,
        "CREATE DOMAIN plugin.words AS text CHECK (VALUE <> '')",
        "CREATE DOMAIN plugin.few_words AS plugin.words CHECK (length(VALUE) < 400)",
        "CREATE DOMAIN plugin.lists AS text[]",
        "CREATE TYPE plugin.pair AS (a text, b text, c bytea)",
    )
    type_, made, expression = TYPES[kind]
    put(plugin, type_, made(seal(OLD, b"\x00")), expression)
    findings = search(plugin)
    assert found(findings) == {f"{T}.c": {1: 1}}
    assert findings.examples == {f"{T}.c": ("2 (ctid (0,2))",)}
    assert findings.unexamined == ()


@pytest.mark.parametrize(("extension", "expression"), [("citext", "%s"), ("hstore", "hstore('a', %s)")])
def test_a_sealed_value_is_found_in_the_types_of_extensions(plugin: Fluxbase, extension: str, expression: str) -> None:
    if not plugin.rows("SELECT FROM pg_available_extensions WHERE name = %s", extension):
        pytest.skip(f"this server has no {extension}")
    plugin.rows(f"CREATE EXTENSION {extension}")
    put(plugin, extension, seal(OLD, "x"), expression)
    assert found(search(plugin)) == {f"{T}.c": {1: 1}}


def test_a_sealed_value_is_found_in_xml(plugin: Fluxbase) -> None:
    try:
        put(plugin, "xml", f"<a>{seal(OLD, 'x')}</a>", "%s::xml")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this server was built without XML")
    assert found(search(plugin)) == {f"{T}.c": {1: 1}}


def test_text_with_a_collation_that_refuses_regular_expressions_is_searched(plugin: Fluxbase) -> None:
    try:
        plugin.rows("CREATE COLLATION plugin.any_case (provider = icu, locale = 'und', deterministic = false)")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this server was built without ICU")
    put(plugin, "text COLLATE plugin.any_case", f"a word {seal(OLD, 'x')}")
    assert found(search(plugin)) == {f"{T}.c": {1: 1}}
