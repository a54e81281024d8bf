"""Files that still hold a key that was destroyed."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from fluxbase_cli.config import load_settings
from fluxbase_cli.keys.copies import files_with_key
from tests.fixtures.command import NEW_KEY, OLD_KEY

TEXT = ("é" * 16).encode()


@pytest.mark.parametrize(
    ("key", "written"),
    [
        (OLD_KEY, OLD_KEY.hex()),
        (OLD_KEY, OLD_KEY.hex().upper()),
        (OLD_KEY, base64.b64encode(OLD_KEY).decode()),
        (OLD_KEY, base64.urlsafe_b64encode(OLD_KEY).decode().rstrip("=")),
        (b"k" * 32, "k" * 32),
        (TEXT, TEXT.decode()),
    ],
    ids=["hex", "HEX", "base64", "base64url without padding", "text", "text that is not ASCII"],
)
def test_a_backup_with_the_key_in_any_form_is_found_and_no_other(tmp_path: Path, key: bytes, written: str) -> None:
    (tmp_path / "fluxbase.yaml").write_text("database: {host: localhost}\n", encoding="utf-8")
    (tmp_path / "fluxbase.yaml.bak").write_text(f"encryption_key: '{written}'\n", encoding="utf-8")
    (tmp_path / "fluxbase.yaml~").write_text(f"encryption_key: '{NEW_KEY.hex()}'\n", encoding="utf-8")
    (tmp_path / "unrelated").write_text(written, encoding="utf-8")
    settings = load_settings(directory=tmp_path, environ={})

    assert files_with_key(settings, key) == (tmp_path / "fluxbase.yaml.bak",)
