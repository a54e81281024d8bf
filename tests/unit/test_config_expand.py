"""`${VAR}` in the strings of the configuration file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.config import Settings, load_settings
from fluxbase_cli.config.expand import expand
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,4}", fullmatch=True)
plain = st.text(st.sampled_from("ab$ {}-:1"), max_size=8).filter(lambda text: not re.search(r"\$\{\w+\}", text))


def load(directory: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    (directory / "fluxbase.yaml").write_text(text, encoding="utf-8")
    return load_settings(directory=directory, environ=environ or {}, system_directory=directory / "etc")


@pytest.mark.parametrize(
    "text",
    [
        "$",
        "$$",
        "$NAME",
        "$${",
        "${}",
        "${NAME",
        "$ {NAME}",
        "${1X}",
        "${A-B}",
        "${NAME:-x}",
        "${NAME }",
        "%NAME%",
        "{NAME}",
    ],
)
def test_a_dollar_sign_that_begins_no_reference_stays(text: str) -> None:
    assert expand(text, lambda _: "value", "place") == (text, ())


def test_an_inserted_value_is_not_expanded_again() -> None:
    variables = {"A": "${B}", "B": "b"}
    assert expand("${A}-${B}-${A}", variables.get, "place") == ("${B}-b-${B}", ("A", "B"))


@given(st.lists(st.tuples(plain, names)), st.dictionaries(names, st.text(min_size=1)), st.just("x"))
def test_references_become_values_and_the_rest_stays(
    parts: list[tuple[str, str]], variables: dict[str, str], default: str
) -> None:
    # A letter stands between the pieces, so that two pieces together do not make a reference.
    written = "".join(f"{text}|${{{name}}}|" for text, name in parts)
    expected = "".join(f"{text}|{variables.get(name, default)}|" for text, name in parts)
    expanded = expand(written, lambda name: variables.get(name, default), "place")
    assert expanded.text == expected
    assert expanded.names == tuple(dict.fromkeys(name for _, name in parts))


@given(st.text())
def test_without_variables_a_text_stays_or_is_refused_by_name(text: str) -> None:
    first = re.search(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", text)
    if first is None:
        assert expand(text, lambda _: None, "place").text == text
    else:
        with pytest.raises(ConfigurationError, match=re.escape(f"${{{first[1]}}}")):
            expand(text, lambda _: None, "place")


@pytest.mark.parametrize("environ", [{}, {"DB_PASSWORD": ""}])
def test_an_unset_variable_is_reported_with_file_path_and_name(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, "database:\n  password: 'hunter2${DB_PASSWORD}'\n", environ)
    assert "fluxbase.yaml: database.password refers to ${DB_PASSWORD}" in caught.value.message
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


def test_values_come_from_the_environment_and_then_from_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=dotenv\nB=dotenv\n", encoding="utf-8")
    settings = load(tmp_path, "database: {host: '${A}', user: '${B}'}", {"A": "real"})
    assert (settings.database.host, settings.database.user) == ("real", "dotenv")


def test_every_kind_of_setting_is_expanded(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
        database: {port: "${PORT}", ssl_mode: "${SSL}"}
        security:
          encryption:
            active_key_version: "${TWO}"
            keys:
            - {version: "${TWO}", key: "a${KEY}", provider: "${KMS}", region: "${SSL}", context: {App: "${KEY}"}}
            key_rotation: {enabled: "${ON}"}
        """,
        {"PORT": "6000", "SSL": "require", "TWO": "2", "KEY": "k", "KMS": "aws_kms", "ON": "true"},
    )
    (entry,) = settings.encryption.keys
    assert (settings.database.port, settings.database.ssl_mode) == (6000, "require")
    assert settings.encryption.active_key_version == 2
    assert settings.encryption.key_rotation.enabled
    assert (entry.version, entry.value.reveal(), entry.provider) == (2, "ak", "aws_kms")
    assert entry.source == "fluxbase.yaml: security.encryption.keys[0].key (${KEY})"
    region, context = entry.options["region"], entry.options["context"]
    assert region.reveal() == "require"  # type: ignore[union-attr]
    assert context["App"].reveal() == "k"  # type: ignore[index, call-overload]


def test_environment_variables_are_never_expanded(tmp_path: Path) -> None:
    environ = {"FLUXBASE_DATABASE_PASSWORD": "a${B}c", "FLUXBASE_SECRET_KEY_1": "${B}", "B": "b"}
    settings = load(tmp_path, "", environ)
    assert settings.database.password.reveal() == "a${B}c"
    assert settings.encryption.keys[0].value.reveal() == "${B}"


def test_a_setting_that_is_overridden_is_not_expanded(tmp_path: Path) -> None:
    text = "database: {password: '${UNSET}', host: '${UNSET}'}\nencryption_key: '${UNSET}'\n"
    environ = {"FLUXBASE_DATABASE_URL": "postgresql://u@h/d", "FLUXBASE_ENCRYPTION_KEY": "k"}
    settings = load(tmp_path, text, environ)
    assert settings.database.describe() == "u@h/d"
    assert settings.warnings == ()
