"""Finds files that still hold a key: fluxbase.yaml, `.env`, and backups of these and of key files.

A rotation keeps `fluxbase.yaml.before-vN`, editors keep `.bak` and `~`. A key that was destroyed in its source would
stay there, and nobody would know.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from fluxbase_cli.config import Secret, Settings
from fluxbase_cli.config.files import read_bytes

#: A folder with more files than this is no folder of a configuration.
_MOST_FILES = 10_000


def files_with_key(settings: Settings, secret: bytes) -> tuple[Path, ...]:
    """The files that hold a key in any form in which this tool reads keys. Files that can't be read are left out.

    Args:
        settings: names the configuration and the `.env` files.
        secret: the key, 32 bytes.
    """
    forms = _forms(secret)
    found = []
    for path in _candidates(settings):
        with suppress(OSError, ValueError):
            content = read_bytes(path)
            if any(form in content for form in forms) or secret.hex().encode() in content.lower():
                found.append(path)
    return tuple(found)


def _candidates(settings: Settings) -> Iterator[Path]:
    known = (settings.config_file, settings.env_file, settings.encryption.server.env_file)
    originals = dict.fromkeys(Path(os.path.realpath(path)) for path in known if path is not None)
    # A key file itself is the source of a key. `destroy` itself reports on it.
    key_files = dict.fromkeys(Path(os.path.realpath(path)) for path in _key_files(settings))
    seen: set[Path] = set(key_files)
    for original in (*originals, *key_files):
        with suppress(OSError):
            for path in (original, *sorted(_beside(original))):
                if path not in seen and stat.S_ISREG(path.lstat().st_mode):
                    seen.add(path)
                    yield path


def _key_files(settings: Settings) -> Iterator[str]:
    for entry in settings.encryption.keys:
        option = entry.options.get("key_file")
        if isinstance(option, Secret):
            yield option.reveal()


def _beside(original: Path) -> Iterator[Path]:
    """The files in the same folder whose names hold the name of a file."""
    with os.scandir(original.parent) as entries:
        for entry in islice(entries, _MOST_FILES):
            if original.name in entry.name and entry.name != original.name:
                yield Path(entry.path)


def _forms(secret: bytes) -> tuple[bytes, ...]:
    # The padding may be left out.
    return (secret, *(encode(secret).rstrip(b"=") for encode in (base64.b64encode, base64.urlsafe_b64encode)))
