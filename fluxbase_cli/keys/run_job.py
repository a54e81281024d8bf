"""Runs a prepared job with its keys: the target is checked when the job begins, and used keys are pinned."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fluxbase_cli.config import Settings
from fluxbase_cli.engine.databases import DatabasesReport, DatabasesRun, PreparedDatabases
from fluxbase_cli.engine.events import Observer
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.keys.pins import pin_keys
from fluxbase_cli.keys.target_check import target_check
from fluxbase_cli.store.connection import session


def run_job(  # noqa: PLR0913  # a job, its keys, and who is told
    settings: Settings,
    environ: Mapping[str, str],
    keyring: Keyring,
    targets: PreparedDatabases,
    request: JobRequest,
    *,
    stop: Stop,
    observer: Observer,
    warn: Callable[[str], None],
) -> DatabasesReport:
    """Run a job in all its databases.

    Args:
        settings: the configuration.
        environ: the environment, for providers.
        keyring: the keys, as they were fetched.
        targets: the databases.
        request: what to move.
        stop: ends the job early.
        observer: gets its progress.
        warn: called with warnings for the operator.

    Raises:
        FluxbaseCliError: as for `DatabasesRun.run` and `target_check`.
    """
    target = request.goal.target
    check = target_check(settings, environ, keyring, target, opened=targets.opened_versions, warn=warn)
    report = DatabasesRun(keyring, targets, request, stop=stop, observer=observer, before_begin=check).run()
    if not request.dry_run and report.together.total.re_encrypted:
        _pin_source(settings, keyring, request, warn)
    return report


def _pin_source(settings: Settings, keyring: Keyring, request: JobRequest, warn: Callable[[str], None]) -> None:
    """Pin the key from which values were moved, if it is known which one that is.

    In a large table the key sample may hold no value under that key, so it was not known before the job.
    """
    source = request.goal.source
    others = [version for version in keyring.versions if version != request.goal.target]
    if source is None and len(others) == 1:
        source = others[0]
    if source is None:
        return
    try:
        with session(settings.database) as connection, connection.transaction():
            pin_keys(connection, keyring, {source})
    except FluxbaseCliError as error:
        warn(
            f"the key of version {source} could not be recorded as the one that was used ({error.message}); "
            "`fluxbase-cli config check` says what to do"
        )
