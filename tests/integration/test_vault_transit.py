"""The provider `vault_transit`: a key in Vault wraps our keys, and nothing else opens them."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from fluxbase_cli.config import EncryptionSettings, KeyEntry, Secret, load_settings
from fluxbase_cli.config.provider_traits import traits_of, wrapping_provider
from fluxbase_cli.encoding import Encoding
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.keyring import CreatedKey, KeyAbsentError, ProviderContext, load_provider
from fluxbase_cli.keyring.vault_transit import VaultTransitKeyProvider
from fluxbase_cli.seal import fingerprint
from tests.fixtures.transit import TransitMount

KEY = bytes(range(32))
_BOUND = "app=fluxbase,key_version=2"


def provider(
    transit: TransitMount,
    kms_key_id: str | None = None,
    *,
    previous: tuple[str, ...] = (),
    encoding: Encoding = Encoding.HEX,
    **environ: str,
) -> VaultTransitKeyProvider:
    encryption = EncryptionSettings(kms_key_id=kms_key_id, previous_kms_key_ids=previous)
    context = ProviderContext(encryption, transit.server.environ(**environ), pytest.fail, encoding)
    made = load_provider("vault_transit", context)
    assert isinstance(made, VaultTransitKeyProvider)
    return made


def entry(ciphertext: str = "", version: int = 2, **options: str) -> KeyEntry:
    fields = {name: Secret(text) for name, text in options.items()} | (
        {"ciphertext": Secret(ciphertext)} if ciphertext else {}
    )
    return KeyEntry(version, "vault_transit", "the entry", Secret(""), fields)


def text_of(made: CreatedKey, name: str) -> str:
    option = made.entry.options[name]
    assert isinstance(option, Secret)
    return option.reveal()


def wrapped_form(made: CreatedKey) -> str:
    return base64.b64decode(text_of(made, "ciphertext")).decode()


def refusal(call: object, *arguments: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        call(*arguments)  # type: ignore[operator]
    error = caught.value
    told = f"{error.message} {error.hint}"
    assert (error.exit_code, "\n" in told, error.__cause__, bool(error.hint)) == (ExitCode.USAGE, False, None, True)
    for secret in ("root-", KEY.hex(), base64.b64encode(KEY).decode(), "vault:v1:A"):
        assert secret not in told
    return told


def test_a_key_is_made_wrapped_and_bound_to_its_version(transit: TransitMount) -> None:
    name = f"{transit.mount}/fluxbase"
    made = provider(transit, name).create(2, ())
    wrapped = wrapped_form(made)
    secret = transit.unwrap("fluxbase", wrapped, _BOUND)
    assert (len(secret), made.fingerprint) == (32, fingerprint(secret))
    assert made.setting == {"provider": "vault_transit", "kms_key_id": name, "ciphertext": wrapped}
    assert (made.entry.version, text_of(made, "kms_key_id"), made.entry.source) == (2, name, f"Vault {name}")
    assert provider(transit, name).fetch(made.entry) == secret
    # As it is printed, in base64, and folded by YAML.
    for text in (wrapped, text_of(made, "ciphertext"), f"{wrapped[:20]}\n  {wrapped[20:]}\n"):
        assert provider(transit, name).fetch(entry(text)) == secret
    assert "does not open it" in refusal(provider(transit, name).fetch, entry(wrapped, version=3))
    raw = provider(transit, name, encoding=Encoding.RAW).create(3, ())
    assert transit.unwrap("fluxbase", wrapped_form(raw), "app=fluxbase,key_version=3").decode().isprintable()


def test_a_key_that_exists_is_wrapped_as_it_is(transit: TransitMount) -> None:
    made = provider(transit, f"{transit.mount}/fluxbase").store(2, KEY, ())
    assert transit.unwrap("fluxbase", wrapped_form(made), _BOUND) == KEY
    # What another tool wrapped is bound to nothing, or to another text.
    name = f"{transit.mount}/fluxbase"
    for bound_to in ("", "tenant=7"):
        foreign = entry(transit.wrap("fluxbase", KEY, bound_to), associated_data=bound_to)
        assert provider(transit, name).fetch(foreign) == KEY
        moved = provider(transit, name).rewrap(foreign, transit.make(f"other-{len(bound_to)}"))
        assert provider(transit, name).fetch(moved.entry) == KEY
    assert 'needs `associated_data: ""`' in refusal(provider(transit, name).fetch, entry(transit.wrap("fluxbase", KEY)))


def test_a_key_is_rewrapped_by_another_key_and_by_a_newer_version_of_the_same(transit: TransitMount) -> None:
    name, other = f"{transit.mount}/fluxbase", transit.make("other")
    keys = provider(transit, name)
    made = keys.create(2, ())
    moved = keys.rewrap(made.entry, other)
    assert (moved.fingerprint, text_of(moved, "kms_key_id")) == (made.fingerprint, other)
    assert fingerprint(transit.unwrap("other", wrapped_form(moved), _BOUND)) == made.fingerprint
    transit.server.ask("POST", f"{transit.mount}/keys/fluxbase/rotate")
    newer = keys.rewrap(made.entry, name)
    assert (newer.fingerprint, wrapped_form(newer)[:9]) == (made.fingerprint, "vault:v2:")
    transit.server.ask("POST", f"{transit.mount}/keys/fluxbase/config", {"min_decryption_version": 2})
    assert "does not open what its old versions wrapped" in refusal(keys.fetch, made.entry)
    assert fingerprint(keys.fetch(newer.entry)) == made.fingerprint


def test_what_the_database_says_of_the_wrapping_key_is_not_believed(transit: TransitMount) -> None:
    name, foreign = f"{transit.mount}/fluxbase", transit.make("foreign")
    recorded = replace(provider(transit, foreign).store(2, KEY, ()).entry, recorded=fingerprint(KEY))
    told = refusal(provider(transit, name).fetch, recorded)
    assert f"the key {foreign} of Vault wraps it, and the configuration names {name}" in told
    assert "the configuration names none" in refusal(provider(transit).fetch, recorded)
    assert provider(transit, name, previous=(f"/{foreign}/",)).fetch(recorded) == KEY
    # An interrupted rewrap may have wrapped it with the new key already.
    again = provider(transit, name).rewrap(recorded, foreign)
    assert (again.fingerprint, again.entry.recorded) == (fingerprint(KEY), None)


def test_no_wrapping_key_is_made_by_a_misspelt_name(transit: TransitMount) -> None:
    told = refusal(provider(transit, f"{transit.mount}/fluxbas").create, 2, ())
    assert f"there is no key fluxbas at {transit.mount} of Vault" in told
    assert transit.names() == {"fluxbase"}
    assert "there is no engine transit at nowhere of Vault" in refusal(
        provider(transit, "nowhere/fluxbase").create, 2, ()
    )
    wrapped = provider(transit, f"{transit.mount}/fluxbase").create(2, ())
    absent = entry(wrapped_form(wrapped), kms_key_id=f"{transit.mount}/absent")
    assert "there is no key absent" in refusal(provider(transit).fetch, absent)
    for name in ("fluxbase", "/", "transit/../x", "transit//x", "transit/a\nb"):
        assert "kms_key_id is not the name of a key of Vault's engine" in refusal(provider(transit, name).create, 2, ())


@pytest.mark.parametrize(
    ("settings", "what"),
    [({"type": "rsa-2048"}, "is of the type rsa-2048"), ({"derived": True}, "derives keys (derived=true)")],
)
def test_only_a_wrapping_key_that_can_bind_is_used(
    transit: TransitMount, settings: dict[str, object], what: str
) -> None:
    name = transit.make("unsuitable", **settings)
    assert f"the key {name} in Vault at" in refusal(provider(transit, name).create, 2, ())
    assert what in refusal(provider(transit, name).create, 2, ())


def test_the_policy_that_is_missing_is_named_and_no_other_is_needed(transit: TransitMount) -> None:
    name, server = f"{transit.mount}/fluxbase", transit.server
    decrypt, encrypt = (f"{transit.mount}/{what}/fluxbase" for what in ("decrypt", "encrypt"))
    reader = server.token_for(f'path "{decrypt}" {{ capabilities = ["update"] }}')
    both = server.token_for(f'path "{transit.mount}/+/fluxbase" {{ capabilities = ["update"] }}')
    made = provider(transit, name, VAULT_TOKEN=both).create(2, ())
    assert fingerprint(provider(transit, name, VAULT_TOKEN=reader).fetch(made.entry)) == made.fingerprint
    told = refusal(provider(transit, name, VAULT_TOKEN=reader).create, 3, ())
    assert f'path "{encrypt}" {{ capabilities = ["update"] }}' in told
    stranger = server.token_for('path "elsewhere" { capabilities = ["read"] }')
    assert f"denies update on {decrypt}" in refusal(provider(transit, name, VAULT_TOKEN=stranger).fetch, made.entry)


def test_an_entry_that_holds_no_wrapped_key_is_refused(transit: TransitMount) -> None:
    name = f"{transit.mount}/fluxbase"
    keys = provider(transit, name)
    with pytest.raises(KeyAbsentError, match="has no ciphertext for Vault to open"):
        keys.fetch(entry())
    assert "is a key itself" in refusal(keys.fetch, KeyEntry(2, "vault_transit", "the entry", Secret(KEY.hex())))
    for text in ("vault:w", base64.b64encode(b"a KMS blob").decode(), "vault:v1:é", "!"):
        assert "is not what Vault's engine transit makes" in refusal(keys.fetch, entry(text))
    assert "refuses it (HTTP 400)" in refusal(keys.fetch, entry("vault:v1:AAAA"))
    short = transit.wrap("fluxbase", b"short", _BOUND)
    assert "Vault opens it to 5 bytes, and a key is 32" in refusal(keys.fetch, entry(short))
    assert "there is a key of version 2 already" in refusal(keys.create, 2, (entry(short),))
    # In this entry, a key that is bound to its version would not open.
    unbound = refusal(keys.create, 2, (entry(associated_data=""),))
    assert "the entry has an `associated_data`, and a new key would not have it" in unbound
    assert "no wrapping key is configured" in refusal(provider(transit).create, 2, ())
    assert "can't be reached" in refusal(provider(transit, name, VAULT_ADDR="http://127.0.0.1:1").fetch, entry(short))


def test_the_form_of_a_ciphertext_and_of_a_wrapping_key_decide(tmp_path: Path) -> None:
    entries = "{version: 1, ciphertext: 'vault:v1:x'}, {version: 2, ciphertext: AQID}"
    (tmp_path / "fluxbase.yaml").write_text(f"security: {{encryption: {{keys: [{entries}]}}}}\n")
    keys = load_settings(directory=tmp_path, environ={}).encryption.keys
    assert [key.provider for key in keys] == ["vault_transit", "aws_kms"]
    assert traits_of("vault_transit").keeps_wrapped_keys
    names = ("transit/fluxbase", "team/transit/x", "alias/x", "arn:aws:kms:eu:1:key/2", "1234-5678", None)
    assert [wrapping_provider(name) for name in names] == ["vault_transit"] * 2 + ["aws_kms"] * 4
