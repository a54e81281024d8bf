"""The strings that are found in a document's text are exactly those of the parsed document, and only they change."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.engine.run.json_strings import strings
from fluxbase_cli.seal import Sealer, may_be_seal
from fluxbase_cli.store.documents import leaves, replaced

_KEY = bytes(range(32))
_SEALS = [Sealer(_KEY).seal(b"x" * number).decode() for number in range(4)]

#: Texts around a seal that could make a string look like one, or hide one.
_texts = st.one_of(
    st.sampled_from(_SEALS),
    st.sampled_from(_SEALS).map(lambda seal: seal[:20] + "\r\n" + seal[20:] + "\n"),
    st.builds(
        lambda before, seal, after: before + seal + after,
        st.sampled_from(["", '"', "\\", '\\"', ": ", ":", 'token="', "\u00e4", "\0", "\t", "n", "\\n"]),
        st.sampled_from(_SEALS),
        st.sampled_from(["", '"', "\\", '\\"', ": ", '": "', ":", "\u20ac", "\x1f", "r", "\\r"]),
    ),
    st.text(max_size=50),
)
_documents = st.recursive(
    st.none() | st.booleans() | st.integers() | _texts,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(_texts, children, max_size=4),
    max_leaves=20,
)


def printed(document: Any) -> bytes:
    """A document as PostgreSQL prints a `jsonb`."""
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")


@given(_documents)
def test_the_leaves_are_the_strings_that_may_be_seals(document: Any) -> None:
    found = [leaf.text for leaf in leaves(printed(document)) if may_be_seal(leaf.text)]
    walked = [text.encode("utf-8", "surrogatepass") for _, text in strings(printed(document))]
    assert found == [text for text in walked if may_be_seal(text)]


@given(_documents)
def test_only_the_replaced_strings_change(document: Any) -> None:
    text = printed(document)
    changes = [(leaf, b"new%d" % number) for number, leaf in enumerate(leaves(text)) if may_be_seal(leaf.text)]
    after = list(strings(replaced(text, changes)))
    before = list(strings(text))
    assert [path for path, _ in after] == [path for path, _ in before]
    new = iter(range(len(changes)))
    for (_, old), (_, now) in zip(before, after, strict=True):
        assert now == (f"new{next(new)}" if may_be_seal(old.encode("utf-8", "surrogatepass")) else old)
    assert replaced(text, []) == text


def test_numbers_stay_as_they_are_written() -> None:
    text = b'{"a": 1.10, "b": "%s", "c": 587, "d": 1e400}' % _SEALS[0].encode()
    ((leaf),) = leaves(text)
    assert replaced(text, [(leaf, b"new")]) == b'{"a": 1.10, "b": "new", "c": 587, "d": 1e400}'


def test_a_leaf_does_not_show_its_text() -> None:
    (leaf,) = leaves(printed([_SEALS[0]]))
    assert _SEALS[0] not in repr(leaf)
