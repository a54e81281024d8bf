"""Key sources that do not do what they say: they keep another key than the new one, or do not destroy a key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from fluxbase_cli.config import KeyEntry, Secret, Settings, load_settings
from fluxbase_cli.encoding import Encoding
from fluxbase_cli.engine.events import NullObserver
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import CreatedKey, ring
from fluxbase_cli.keys import sources
from fluxbase_cli.keys.create import create_key, write_key
from fluxbase_cli.keys.destroy import Destruction
from fluxbase_cli.keys.destroy_request import DestroyOutcome, DestroyRequest
from fluxbase_cli.keys.history import KeyState
from fluxbase_cli.seal import fingerprint
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.limits import DEFAULT_LIMITS
from fluxbase_cli.store.wrapped_keys import WrappedKeyStore
from tests.fixtures.fluxbase import NEW, OLD, STRANGER, THIRD, Fluxbase


@dataclass
class FakeSource:
    """A provider with keys in memory. It does what it says, except when a test changes that.

    Attributes:
        keys: the keys that exist.
        stores: what it stores instead of a new key; None stores the key.
        wraps: whether it returns new keys in a wrapped form, to be kept in the database.
        destroys: whether it destroys.
    """

    keys: dict[int, bytes] = field(default_factory=lambda: {1: OLD, 2: NEW})
    stores: bytes | None = None
    wraps: bool = False
    destroys: bool = True

    def fetch(self, entry: KeyEntry) -> bytes:
        """Return a key."""
        return self.keys[entry.version]

    def create(self, version: int, _known: tuple[KeyEntry, ...]) -> CreatedKey:
        """Create a key."""
        self.keys[version] = self.stores or THIRD
        options = {"kms_key_id": Secret("alias/k"), "ciphertext": Secret("d3JhcHBlZA==")} if self.wraps else {}
        entry = KeyEntry(version, "aws_kms" if self.wraps else "vault", "the place", Secret(""), options)
        return CreatedKey(entry, fingerprint(THIRD), {})

    def destroy(self, entry: KeyEntry) -> None:
        """Destroy a key, or only claim to do it."""
        if self.destroys:
            del self.keys[entry.version]

    def exists(self, entry: KeyEntry) -> bool:
        """Whether a key exists."""
        return entry.version in self.keys


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    """The key source to which all entries lead, for every name of a provider."""
    made = FakeSource()
    for module in (sources, ring):
        monkeypatch.setattr(module, "load_provider", lambda _name, _context: made)
    return made


@pytest.fixture
def settings(flux: Fluxbase, tmp_path: Path) -> Iterator[Settings]:
    """Versions 1 and 2, the second active, and a database without values."""
    (tmp_path / "fluxbase.yaml").write_text(
        "security:\n  encryption:\n    provider: vault\n    active_key_version: 2\n    keys:\n"
        "      - {version: 1, key: '{{ vault `a` }}'}\n      - {version: 2, key: '{{ vault `b` }}'}\n"
    )
    environ = {"FLUXBASE_DATABASE_URL": flux.url}
    yield load_settings(directory=tmp_path, environ=environ, system_directory=tmp_path / "etc")
    flux.close()


def events(flux: Fluxbase) -> list[str]:
    """The recorded events of keys."""
    if not flux.value("SELECT to_regclass('fluxbase_keys.event') IS NOT NULL"):
        return []
    return [what for (what,) in flux.rows("SELECT what FROM fluxbase_keys.event WHERE what LIKE 'key-%%' ORDER BY id")]


# --- a new key ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wraps", [pytest.param(False, id="at its place"), pytest.param(True, id="wrapped")])
def test_a_new_key_that_is_a_different_key_when_it_is_read_back_is_not_used(
    flux: Fluxbase, settings: Settings, source: FakeSource, *, wraps: bool
) -> None:
    source.stores, source.wraps = STRANGER, wraps

    with pytest.raises(ConfigurationError, match="is not the one that was stored there"):
        create_key(settings, {}, 3, warn=pytest.fail)

    assert events(flux) == []


@pytest.mark.parametrize("wraps", [pytest.param(False, id="at its place"), pytest.param(True, id="wrapped")])
def test_a_new_key_that_is_the_same_when_it_is_read_back_is_recorded(
    flux: Fluxbase, settings: Settings, source: FakeSource, *, wraps: bool
) -> None:
    source.wraps = wraps

    assert create_key(settings, {}, 3, warn=pytest.fail).fingerprint == fingerprint(THIRD)

    assert events(flux) == ["key-created"]


def test_a_file_with_a_different_key_when_it_is_read_back_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_arguments, **_options: "ab" * 32 + "\n")

    with pytest.raises(ConfigurationError, match="does not hold what was written to it"):
        write_key(tmp_path / "key", Encoding.HEX)


# --- a key that must be destroyed ------------------------------------------------------------------------------------


def destroy(settings: Settings) -> DestroyOutcome:
    """Do both steps at once."""
    request = DestroyRequest(1, DEFAULT_LIMITS, now=True)
    return Destruction(settings, {}, request, stop=Stop(), observer=NullObserver(), warn=lambda _text: None).run()


def test_a_key_that_still_exists_is_not_reported_as_destroyed(
    flux: Fluxbase, settings: Settings, source: FakeSource
) -> None:
    source.destroys = False

    with pytest.raises(ConfigurationError, match="still there after it was destroyed"):
        destroy(settings)

    assert events(flux)[-1] == "key-destroying"
    # When the key source does what it says, a second destroy completes it.
    source.destroys = True
    assert destroy(settings).state is KeyState.DESTROYED
    assert events(flux)[-1] == "key-destroyed"
    assert source.keys == {2: NEW}


def test_a_wrapped_key_that_still_exists_is_not_reported_as_destroyed(
    flux: Fluxbase, settings: Settings, source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    encryption = settings.encryption
    second = tuple(entry for entry in encryption.keys if entry.version == 2)
    settings = replace(settings, encryption=replace(encryption, keys=second, kms_key_id="alias/k"))
    with flux.connect() as connection:
        JobStore(connection).schema.ensure()
        wrapped = WrappedKeyStore(connection)
        wrapped.ensure()
        wrapped.add(1, provider="aws_kms", kms_key_id="alias/k", ciphertext=b"wrapped", fingerprint=fingerprint(OLD))
    with monkeypatch.context() as patched:
        patched.setattr(WrappedKeyStore, "delete", lambda _store, _version: True)
        with pytest.raises(ConfigurationError, match="still there after it was deleted"):
            destroy(settings)
        assert events(flux)[-1] == "key-destroying"

    assert destroy(settings).state is KeyState.DESTROYED
    assert flux.value("SELECT count(*) FROM fluxbase_keys.wrapped_key") == 0
