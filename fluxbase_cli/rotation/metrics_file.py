"""The file with the metrics of a run, for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from fluxbase_cli.config.replace_file import may_be_put, put_file
from fluxbase_cli.errors import ConfigurationError, RotationRunningError
from fluxbase_cli.rotation.figures import Figures
from fluxbase_cli.rotation.metrics import Metrics

_SUFFIX = ".prom"
_READABLE_FOR_ALL = 0o644
#: The file has a few kilobytes. What is larger was not written by us, and is not read.
_MOST_BYTES = 1_000_000


class MetricsFile:
    """Writes the metrics of a run at the end of a block, also if the run failed.

    If another process runs the rotation, the file is left as it is: that process writes it.

    Args:
        path: the file; None means that none is written.
        warn: called with a line for the operator if the file can't be written. How the run ended is more important,
            and decides the exit code.

    Raises:
        ConfigurationError: as for `refuse_unsuited_file`.
    """

    def __init__(self, path: Path | None, warn: Callable[[str], None]) -> None:
        if path is not None:
            refuse_unsuited_file(path)
        self._path = path
        self._warn = warn
        self._figures: Callable[[], Figures] = lambda: Figures(datetime.now(UTC), succeeded=False, known=False)

    def take(self, figures: Callable[[], Figures]) -> None:
        """Set where the figures come from. Without this, the file says that the run failed."""
        self._figures = figures

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._path is None or isinstance(error, RotationRunningError):
            return
        try:
            write_metrics(self._path, self._figures())
        except OSError as failure:
            self._warn(f"{self._path} can't be written: {failure.strerror or type(failure).__name__}")


def write_metrics(path: Path, figures: Figures) -> None:
    """Write figures, atomically. What is not known now stays as an earlier run has written it.

    Raises:
        OSError: the file can't be written.
    """
    metrics = Metrics()
    metrics.update(figures)
    if not figures.known:
        with suppress(OSError, ValueError):
            metrics.read(_text_of(path))
    # The node exporter runs as another user.
    put_file(path, metrics.as_text(), mode=_READABLE_FOR_ALL)


def _text_of(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(_MOST_BYTES)


def refuse_unsuited_file(path: Path) -> None:
    """Raise an error if metrics can't be written to a file. So that is known before the work, and not after it.

    Raises:
        ConfigurationError: the name does not end in .prom, or the path is a link, a device or a folder, or its folder
            does not exist.
    """
    if path.suffix != _SUFFIX:
        raise ConfigurationError(
            f"--metrics-file {path} does not end in {_SUFFIX}", hint="The node exporter reads only such files."
        )
    try:
        if not may_be_put(path):
            raise ConfigurationError(
                f"--metrics-file {path} is a link, or no regular file", hint="Name a regular file, or a new file."
            )
        if not path.parent.is_dir():
            raise ConfigurationError(
                f"--metrics-file {path} can't be written: there is no folder {path.parent}",
                hint="Create it, or name another.",
            )
    except OSError as error:
        raise ConfigurationError(
            f"--metrics-file {path} can't be written: {error.strerror or type(error).__name__}",
            hint="Name a file in a folder where this user may write.",
        ) from None
