"""References to keys in Vault: what is one, and what is not."""

from __future__ import annotations

import base64

import pytest

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.vault.reference import Reference, parse_reference

HEX = "0f1e2d3c4b5a69788796a5b4c3d2e1f000112233445566778899aabbccddeeff"


@pytest.mark.parametrize(
    ("text", "path", "field"),
    [
        ("{{ vault `secret/fluxbase/keys/v1` }}", "secret/fluxbase/keys/v1", "key"),
        ("{{vault`secret/k`}}", "secret/k", "key"),
        ("  {{  vault  ` /secret/k/ `  }}\n", "secret/k", "key"),
        ("{{ vault `secret/k#hex` }}", "secret/k", "hex"),
        ("{{ vault `secret/a#b/c#hex` }}", "secret/a#b/c", "hex"),
        ("{{ vault `team/a/kv/our keys/schlüssel?` }}", "team/a/kv/our keys/schlüssel?", "key"),
        ("secret/fluxbase/keys/v1", "secret/fluxbase/keys/v1", "key"),
        ("secret/fluxbase/keys/v1#hex", "secret/fluxbase/keys/v1", "hex"),
        ("{{ vault `secret/32-characters/of-a-path-1` }}", "secret/32-characters/of-a-path-1", "key"),
    ],
)
def test_a_reference_has_a_path_and_a_field(text: str, path: str, field: str) -> None:
    assert parse_reference(text, "here") == Reference(path, field)


@pytest.mark.parametrize(
    "text",
    [
        HEX,
        HEX.upper(),
        base64.b64encode(bytes.fromhex(HEX)).decode(),
        base64.b64encode(b"/" * 32).decode(),
        base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        "exactly-32-bytes/of-key-material",
        "secret/32-characters/of-a-path-1",
        " " + HEX + "\n",
        "with a blank at its end, 31 + 1 ",
        "{{ vault `" + HEX + "` }}",
        "{{ vault `" + base64.b64encode(b"/" * 32).decode() + "` }}",
        "{{ vault `secret/k#" + HEX + "` }}",
    ],
)
def test_a_text_that_looks_like_a_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_reference(text, "fluxbase.yaml: keys[0].key")
    assert "fluxbase.yaml: keys[0].key looks like a key" in caught.value.message
    shown = caught.value.message + str(caught.value.hint) + repr(caught.value)
    assert text.strip(" {}`\n").removeprefix("vault `").removeprefix("secret/k#") not in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{{ vault `` }}",
        "{{ vault 'hunter2/x' }}",
        "{{ vault hunter2/x }}",
        "{{ vault `hunter2/x`",
        "{{ vaults `hunter2/x` }}",
        "hunter2",
        "{{ vault `hunter2` }}",
        "{{ vault `/hunter2/` }}",
        "{{ vault `hunter2-is-32-bytes-of-material!` }}",
        "{{ vault `hunter2/x#` }}",
        "{{ vault `hunter2//x` }}",
        "{{ vault `hunter2/../sys/seal` }}",
        "{{ vault `hunter2/./x` }}",
        "{{ vault `hunter2/x\ty` }}",
    ],
)
def test_an_invalid_reference_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_reference(text, "here")
    assert caught.value.message.startswith("here ")
    assert "hunter2" not in caught.value.message + str(caught.value.hint)


@pytest.mark.parametrize(
    ("path", "version", "following", "expected"),
    [
        ("secret/fluxbase/keys/v1", 1, 2, "secret/fluxbase/keys/v2"),
        ("secret/fluxbase/keys/1", 1, 10, "secret/fluxbase/keys/10"),
        ("secret/fluxbase/v9/key", 9, 10, "secret/fluxbase/v10/key"),
        ("secret/v1/fluxbase/v1", 1, 2, "secret/v1/fluxbase/v2"),
        ("secret/fluxbase/1-of-1", 1, 2, "secret/fluxbase/1-of-2"),
        ("secret/fluxbase/key01", 1, 2, "secret/fluxbase/key02"),
        ("secret/fluxbase/key09", 9, 10, "secret/fluxbase/key10"),
        ("kv1/fluxbase/key", 1, 2, None),
        ("secret/fluxbase/v11", 1, 2, None),
        ("secret/fluxbase/key", 1, 2, None),
    ],
)
def test_the_next_place_follows_the_pattern(path: str, version: int, following: int, expected: str | None) -> None:
    found = Reference(path, "hex").successor(version, following)
    assert found == (None if expected is None else Reference(expected, "hex"))


@pytest.mark.parametrize("reference", [Reference("secret/k"), Reference("secret/a#b", "hex")])
def test_the_written_form_can_be_read_again(reference: Reference) -> None:
    assert parse_reference(reference.template, "here") == reference


def test_a_hash_sign_in_the_path_alone_is_written_with_the_field() -> None:
    reference = Reference("secret/a#b", "key")
    assert parse_reference(reference.template, "here") == reference
