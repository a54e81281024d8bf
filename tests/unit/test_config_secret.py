"""The configuration shows no secret, in values or in errors, and loading it costs little."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.config import Secret, load_settings
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MARK = "hunter2"


@given(st.text())
def test_a_secret_shows_nothing_and_gives_its_text_only_when_asked(text: str) -> None:
    secret = Secret(text)
    assert secret.reveal() == text
    assert {repr(secret), str(secret), f"{secret}", f"{secret!r}", f"{secret:>20}", f"{secret:.1}"} == {"***"}
    assert (secret == Secret(text), secret != Secret(text + "x"), bool(secret)) == (True, True, bool(text))
    assert hash(secret) == hash(Secret(text))


def test_a_secret_is_not_a_string() -> None:
    secret = Secret(MARK)
    assert not isinstance(secret, str)
    assert secret != MARK
    assert not hasattr(secret, "__dict__")
    leaks: tuple[Callable[[Any], object], ...] = (pickle.dumps, json.dumps, "".join, bytes, list)
    for leak in leaks:
        with pytest.raises(TypeError) as caught:
            leak(secret)
        assert MARK not in str(caught.value)


def test_a_copy_of_a_secret_is_itself() -> None:
    secret = Secret(MARK)
    assert copy.copy(secret) is secret
    assert copy.deepcopy(secret) is secret


FULL = f"""
encryption_key: "{MARK}-single"
database: {{user: u, password: "{MARK}-p", admin_password: "${{P}}", host: h}}
security:
  encryption:
    keys:
    - {{version: 1, key: "{MARK}-one", token: "{MARK}-option", context: {{A: "{MARK}-nested"}}}}
    - {{version: 2, key: "${{K}}"}}
    key_rotation: {{notification_webhook: "https://{MARK}"}}
"""
ENVIRON = {"P": f"{MARK}-P", "K": f"{MARK}-K", "FLUXBASE_SECRET_KEY_9": f"{MARK}-9", "FLUXBASE_SECRET_KEY_x": MARK}


@pytest.mark.parametrize("url", [None, f"postgresql://u:{MARK}@h/d", f"host=h password='{MARK}'"])
def test_no_secret_is_in_any_view_of_the_settings(tmp_path: Path, url: str | None) -> None:
    (tmp_path / "fluxbase.yaml").write_text(FULL, encoding="utf-8")
    (tmp_path / ".env").write_text(f"FLUXBASE_ENCRYPTION_KEY={MARK}$A\n", encoding="utf-8")
    settings = load_settings(database_url=url, directory=tmp_path, environ=ENVIRON, system_directory=tmp_path / "etc")
    views = (
        repr(settings),
        str(settings),
        f"{settings}",
        settings.database.describe(),
        settings.database.source,
        repr(asdict(settings.database)),
        *(entry.source for entry in settings.encryption.keys),
        *settings.warnings,
    )
    assert not [view for view in views if MARK in view]
    assert len(settings.warnings) > 1


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        (f"encryption_key: {MARK}\n  x: 1\n", {}),
        (f"encryption_key: [{MARK}]\n", {}),
        (f"encryption_key: '{MARK}${{UNSET}}'\n", {}),
        (f"a: {MARK}\nencryption_key: !!float 1\n", {}),
        (f"{MARK}: 1\n{MARK}: 2\n", {}),
        (f"database: {MARK}\n", {}),
        (f"database: {{port: {MARK}}}\n", {}),
        (f"database: {{ssl_mode: {MARK}}}\n", {}),
        (f"database: {{user: 'x://{MARK}'}}\n", {}),
        (f"security: {{encryption: {{active_key_version: {MARK}}}}}\n", {}),
        (f"security: {{encryption: {{provider: '{MARK} {MARK}'}}}}\n", {}),
        (f"security: {{encryption: {{keys: [{{version: {MARK}, key: k}}]}}}}\n", {}),
        (f"security: {{encryption: {{keys: [{{version: 1, key: {MARK}}}, {{version: 1, key: {MARK}}}]}}}}\n", {}),
        (f"security: {{encryption: {{key_rotation: {{enabled: {MARK}}}}}}}\n", {}),
        ("", {"FLUXBASE_DATABASE_URL": MARK}),
        ("", {"FLUXBASE_DATABASE_URL": f"postgresql://u:{MARK}/x@h/d"}),
        ("", {"FLUXBASE_DATABASE_PORT": MARK}),
        ("", {"FLUXBASE_SECRET_KEY_1": MARK, "FLUXBASE_SECRET_KEY_01": MARK}),
    ],
)
def test_no_error_holds_a_secret(tmp_path: Path, text: str, environ: dict[str, str]) -> None:
    (tmp_path / "fluxbase.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(directory=tmp_path, environ=environ, system_directory=tmp_path / "etc")
    assert MARK not in f"{caught.value!r} {caught.value} {caught.value.hint}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_importing_the_configuration_loads_no_library() -> None:
    heavy = "[m for m in ('yaml', 'dotenv', 'psycopg', 'cryptography', 'logging', 'hmac') if m in sys.modules]"
    code = f"import sys, fluxbase_cli.config; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
