from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fluxbase_cli.config import Secret
from fluxbase_cli.config.address import describe_address, is_address
from fluxbase_cli.config.expand import UnsetVariableError, expand


@given(st.text())
def test_a_secret_gives_its_text_to_reveal_only(text: str) -> None:
    secret = Secret(text)
    assert secret.reveal() == text
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>3}", f"{secret!s}", f"{secret!r}", "%s" % secret]  # noqa: UP031
    assert set(shown) == {"***"}


@given(st.text(), st.text())
def test_secrets_are_equal_when_their_texts_are(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) is (one == other)
    assert hash(Secret(one)) == hash(Secret(one))


def test_a_secret_is_no_text() -> None:
    assert not isinstance(Secret("x"), str)
    assert Secret("x") != "x"
    assert not Secret("")


def test_a_secret_takes_what_is_no_utf_8() -> None:
    assert Secret("\udcff") == Secret("\udcff")
    assert Secret("\udcff") != Secret("\udcfe")


@given(st.text().filter(lambda text: "${" not in text))
@example("$a $$ $(x) $} {x} $")
def test_text_without_references_stays_as_it_is(text: str) -> None:
    assert expand(text, lambda _: None) == (text, ())


@given(st.text(min_size=1), st.text().filter(lambda text: "$" not in text))
def test_a_reference_becomes_the_value_and_the_value_is_not_expanded_again(value: str, around: str) -> None:
    expanded, names = expand(f"{around}${{NAME}}{around}", {"NAME": value, "X": "no"}.get)
    assert expanded == around + value + around
    assert names == ("NAME",)


@given(st.text())
def test_an_escaped_reference_gives_the_literal(text: str) -> None:
    literal = text.replace("$", "")
    assert expand("$${" + literal + "}", lambda _: None) == ("${" + literal + "}", ())


def test_only_the_plain_form_is_a_reference() -> None:
    text = "${VAR:-x} ${} ${1A} ${a-b} $VAR ${ VAR }"
    assert expand(text, lambda _: "no") == (text, ())


@pytest.mark.parametrize("value", [None, ""])
def test_an_unset_or_empty_variable_is_an_error_that_names_it(value: str | None) -> None:
    with pytest.raises(UnsetVariableError) as caught:
        expand("a${MISSING}b", lambda _: value)
    assert caught.value.name == "MISSING"


@pytest.mark.parametrize(
    ("address", "described"),
    [
        ("postgresql://admin:hunter2@db.example:5433/app", "admin@db.example:5433/app"),
        ("postgres://admin:hunter2@db/app?sslmode=require", "admin@db:5432/app"),
        ("postgresql://db/app", "db:5432/app"),
        ("postgresql:///app", "localhost:5432/app"),
        ("postgresql://admin@[::1]:5433/app", "admin@[::1]:5433/app"),
        ("postgresql://u:hunter2@a:1,b:2/app", "u@a:1,b:2/app"),
        ("postgresql://u@%2Fvar%2Frun/app", "u@/var/run:5432/app"),
        ("postgresql:///app?host=/tmp/s&user=u&password=hunter2", "u@/tmp/s:5432/app"),
        ("host=db port=5433 user=u password=hunter2 dbname=app", "u@db:5433/app"),
        (r"host = 'db' password = 'hun\'ter2 host=evil' dbname=app", "db:5432/app"),
        ("host=a,b port=1 dbname=app", "a:1,b:1/app"),
        ("hostaddr=10.0.0.1 dbname=app", "10.0.0.1:5432/app"),
    ],
)
def test_an_address_is_told_without_its_password(address: str, described: str) -> None:
    assert describe_address(address) == described


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:hunter2@x@db/app",
        "postgresql://u:hun/ter2@db/app",
        "postgresql://u:12/ter2@db/app",
        "postgresql://u:1?ter2@db/app",
        "postgresql://u:hun#ter2@db/app",
        "postgresql://",
        "postgresql://db/app?service=x",
        "host=db password=hun ter2",
        "host=db password='hunter2",
        "service=x",
        "password=hunter2",
        "dbname=postgresql://u:hunter2@db/app",
        "",
    ],
)
def test_an_address_that_leaves_a_doubt_is_not_told(address: str) -> None:
    assert describe_address(address) is None


@given(st.text(alphabet="abc@/:?#=&%'\\ ,[]", max_size=12))
def test_no_password_in_a_url_is_ever_told(tail: str) -> None:
    described = describe_address(f"postgresql://u:{tail}hunter2@db/app")
    assert described is None or "hunter2" not in described


@given(st.text(min_size=1))
def test_no_quoted_password_in_pairs_is_ever_told(password: str) -> None:
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    assert describe_address(f"user=u password='{quoted}' host=db") == "u@db:5432"


@given(st.text())
def test_describing_never_fails(text: str) -> None:
    describe_address(text)
    describe_address("postgresql://" + text)


@pytest.mark.parametrize("address", ["mysql://u:p@h/d?x=1", "fluxbase", "postgresql+psycopg://u@h/d?x=1", " "])
def test_what_libpq_would_not_take_is_no_address(address: str) -> None:
    assert not is_address(address)
