"""A version has one key for ever: the first one that was used. Another one is refused wherever values are opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

from fluxbase_cli.config import Settings, load_settings
from fluxbase_cli.engine.databases import prepare_databases
from fluxbase_cli.engine.events import NullObserver
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ConfigurationError, ExitCode, WrongKeyError
from fluxbase_cli.keys.inventory import list_keys
from fluxbase_cli.keys.loader import open_keyring
from fluxbase_cli.keys.run_job import run_job
from fluxbase_cli.keys.target_check import target_check
from fluxbase_cli.keys.verify import verify_keys
from fluxbase_cli.seal import fingerprint
from fluxbase_cli.store.databases import Databases
from fluxbase_cli.store.limits import DEFAULT_LIMITS
from fluxbase_cli.store.records import JobKind
from tests.fixtures.fluxbase import NEW, OLD, STRANGER, THIRD, Fluxbase, Role

FIRST, SECOND = fingerprint(OLD), fingerprint(NEW)
Configured = Callable[..., Settings]


@pytest.fixture
def configured(flux: Fluxbase, tmp_path: Path) -> Configured:
    """Settings with these keys by version, and with this database if another role connects."""

    def settings(keys: Mapping[int, bytes], role: Role | None = None) -> Settings:
        environ = {f"FLUXBASE_SECRET_KEY_{version}": key.hex() for version, key in keys.items()}
        url = flux.url if role is None else str(role.database.url.reveal() if role.database.url else "")
        environ["FLUXBASE_DATABASE_URL"] = url
        return load_settings(directory=tmp_path, environ=environ, system_directory=tmp_path / "etc")

    return settings


def move(settings: Settings, target: int = 2, source: int | None = None) -> str:
    """Run a job as the command does, and return its state."""
    keyring = open_keyring(settings, os.environ, warn=pytest.fail)
    request = JobRequest(JobKind.RE_ENCRYPT, Goal(target, source=source), limits=DEFAULT_LIMITS, workers=1)
    targets = prepare_databases(settings.database, keyring, request, Databases.MAIN, NullObserver())
    run = partial(run_job, settings, {}, keyring, targets, request)
    return run(stop=Stop(), observer=NullObserver(), warn=pytest.fail).together.state


def pinned(flux: Fluxbase) -> dict[int, str]:
    return dict(flux.rows("SELECT version, fingerprint FROM fluxbase_keys.key WHERE pinned_at IS NOT NULL"))


def test_keys_that_are_exchanged_after_a_job_are_refused(flux: Fluxbase, configured: Configured) -> None:
    flux.secrets(20)
    assert move(configured({1: OLD, 2: NEW})) == "completed"
    assert pinned(flux) == {1: FIRST, 2: SECOND}

    with pytest.raises(ConfigurationError) as caught:
        open_keyring(configured({1: NEW, 2: OLD}), {}, warn=pytest.fail)

    assert caught.value.exit_code is ExitCode.USAGE
    assert f"version 1 was used with the key {FIRST}" in caught.value.message
    assert f"fingerprint {SECOND}, which is the key of version 2" in caught.value.message
    assert "The keys of versions 1 and 2 are exchanged" in (caught.value.hint or "")
    # The right keys are accepted, also some of them.
    assert open_keyring(configured({1: OLD, 2: NEW}), {}, warn=pytest.fail).versions == (2, 1)
    assert open_keyring(configured({2: NEW}), {}, warn=pytest.fail).versions == (2,)


@pytest.mark.parametrize(
    ("keys", "remedy"),
    [
        pytest.param({1: STRANGER, 2: NEW}, "Put the right key back", id="a new key under an old number"),
        pytest.param({1: NEW}, "its own version number again: 2", id="a key under another number"),
    ],
)
def test_another_key_under_a_used_number_is_refused(
    flux: Fluxbase, configured: Configured, keys: dict[int, bytes], remedy: str
) -> None:
    flux.secrets(20)
    move(configured({1: OLD, 2: NEW}))

    with pytest.raises(ConfigurationError, match=f"version 1 was used with the key {FIRST}") as caught:
        open_keyring(configured(keys), {}, warn=pytest.fail)

    assert remedy in (caught.value.hint or "")
    # What shows keys and opens nothing says it, so that the operator can compare.
    listed = list_keys(configured(keys), {}, warn=pytest.fail).keys
    assert any("it is not the key of this version" in warning for key in listed for warning in key.warnings)
    problems = [each.problem or "" for each in verify_keys(configured(keys), {}, warn=pytest.fail).keys]
    assert any("version 1 was used with" in problem for problem in problems)


def test_a_wrong_key_that_never_opened_anything_can_be_corrected(flux: Fluxbase, configured: Configured) -> None:
    flux.secrets(20)
    with pytest.raises(WrongKeyError):
        move(configured({1: STRANGER, 2: NEW}))
    # Nor is a key pinned that is there, opened nothing and is not the target.
    assert move(configured({1: OLD, 2: NEW, 3: STRANGER})) == "completed"

    assert move(configured({1: OLD, 2: NEW, 3: THIRD}), 3) == "completed"

    assert pinned(flux) == {1: FIRST, 2: SECOND, 3: fingerprint(THIRD)}


@pytest.mark.parametrize(("keys", "source"), [({1: OLD, 2: NEW}, None), ({1: OLD, 2: NEW, 3: STRANGER}, 1)])
def test_a_key_that_opened_only_values_outside_the_sample_is_pinned(
    flux: Fluxbase, configured: Configured, keys: dict[int, bytes], source: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    flux.secrets(20)
    monkeypatch.setattr("fluxbase_cli.engine.prepare.key_sample.SAMPLE", 0)
    assert move(configured(keys), source=source) == "completed"
    assert pinned(flux) == {1: FIRST, 2: SECOND}


def test_a_key_that_changed_after_the_command_began_is_refused_when_the_job_begins(
    flux: Fluxbase, configured: Configured
) -> None:
    """Another process pins its key while an operator is being asked."""
    flux.secrets(20)
    ours = configured({1: OLD, 2: NEW})
    keyring = open_keyring(ours, {}, warn=pytest.fail)
    move(configured({1: OLD, 2: THIRD}))

    check = target_check(ours, {}, keyring, 2, warn=pytest.fail)
    with (
        flux.connect() as connection,
        pytest.raises(ConfigurationError, match="version 2 was used with the key"),
        connection.transaction(),
        check(connection),
    ):
        pytest.fail("the job began")


def test_a_role_that_may_only_read_compares_and_does_not_pin(
    flux: Fluxbase, role: Role, configured: Configured
) -> None:
    warnings: list[str] = []
    settings = configured({1: OLD, 2: NEW}, role)
    # Before the first job there is nothing to compare with, and nothing is written.
    assert open_keyring(settings, {}, warn=pytest.fail).versions == (2, 1)
    assert flux.value("SELECT to_regnamespace('fluxbase_keys')") is None
    flux.secrets(20)
    move(configured({1: OLD, 2: NEW}))
    # Without the right to read the pins, it is told and goes on.
    assert open_keyring(settings, {}, warn=warnings.append).versions == (2, 1)
    assert "can't check that the keys are the ones" in warnings[0]
    flux.rows(f"GRANT USAGE ON SCHEMA fluxbase_keys TO {role.name}")
    flux.rows(f"GRANT SELECT ON ALL TABLES IN SCHEMA fluxbase_keys TO {role.name}")
    assert open_keyring(settings, {}, warn=pytest.fail).versions == (2, 1)

    with pytest.raises(ConfigurationError, match="version 1 was used with the key"):
        open_keyring(configured({1: NEW, 2: OLD}, role), {}, warn=pytest.fail)


def test_the_keys_stay_when_the_schema_of_progress_is_dropped(flux: Fluxbase, configured: Configured) -> None:
    flux.secrets(20)
    move(configured({1: OLD, 2: NEW}))
    flux.rows("DROP SCHEMA fluxbase_rotation CASCADE")

    with pytest.raises(ConfigurationError, match="version 1 was used with the key"):
        open_keyring(configured({1: NEW, 2: OLD}), {}, warn=pytest.fail)
    assert move(configured({1: OLD, 2: NEW, 3: THIRD}), 3) == "completed"
    assert set(pinned(flux)) == {1, 2, 3}
