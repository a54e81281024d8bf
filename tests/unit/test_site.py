"""The documentation as a site: every link leads somewhere, and nothing is loaded from another host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: What a browser loads on its own when it shows a page.
_LOADED = re.compile(r"<(?:script|link|img|iframe|source|video)\b[^>]*\b(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)")
_LOADED_BY_STYLE = re.compile(r"(?:url\(|@import )[\"']?((?:https?:)?//[^\"')]+)")


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    if find_spec("material") is None:
        reason = "the extra `docs` is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    site = tmp_path / "site"
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    # It says that there is another program beside it, in the same words each time.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}

    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert {each for text in pages.values() for each in _LOADED.findall(text)} == set()
    assert {each for text in (*pages.values(), *styles) for each in _LOADED_BY_STYLE.findall(text)} == set()
    # Links of the forge out of `docs`, and from there into it.
    assert 'href="../overview/#configuration"' in pages["glossary/index.html"]
    assert 'href="../../examples/deploy/systemd/"' in pages["operators/deploy-systemd/index.html"]
    assert 'href="../../examples/monitoring/#alertsyml"' in pages["operators/monitoring/index.html"]
    assert 'id="alertsyml"' in pages["examples/monitoring/index.html"]
    assert 'href="../operators/what-if/#it-must-stop"' in pages["overview/index.html"]
    # What is copied is the command.
    assert "content.code.copy" in pages["index.html"]
    assert not (site / "_site").exists()
