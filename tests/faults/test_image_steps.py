"""The image itself, made by the steps of the Dockerfile: it works as its own user, without rights, on a read-only root.

No container engine is needed. A Debian that debootstrap makes stands for the base image, which comes from a registry.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.command import NEW_KEY, OLD_KEY, Rotation
from tests.fixtures.programs import needs_root, program

pytestmark = [pytest.mark.slow, needs_root]

#: The certificates that a machine trusts. It may reach the package index through a proxy with one of its own.
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"

#: Starts the tool as a container does: user 65532 without capabilities, a read-only file system, PID 1.
_START = """
image=$1; shift
mount --bind "$image" "$image"
mount -t proc proc "$image/proc"
mount -o remount,ro,bind "$image"
exec chroot "$image" setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --bounding-set=-all \\
    /opt/fluxbase-cli/bin/dumb-init --single-child -- /opt/fluxbase-cli/bin/fluxbase-cli "$@"
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Debian of the base image's release, with its Python."""
    made = tmp_path_factory.mktemp("image") / "base"
    line = [program("debootstrap", "/usr/sbin"), "--variant=minbase", f"--include={_PACKAGES}", "trixie", str(made)]
    subprocess.run(line, check=True, timeout=600)
    (made / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    if _CERTIFICATES.exists():
        shutil.copyfile(_CERTIFICATES, made / _CERTIFICATES.relative_to("/"))
        (made / "etc/pip.conf").write_text(f"[global]\ncert = {_CERTIFICATES}\n", encoding="ascii")
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def image(base: Path) -> Iterator[Path]:
    """The file system of the image `cli`."""
    made = base.with_name("root")
    line = [sys.executable, "-m", "tests.image.steps", str(base), str(made)]
    subprocess.run(line, check=True, cwd=Path(__file__).parents[2], timeout=600)
    yield made
    shutil.rmtree(made)


def test_the_image_moves_values_as_its_own_user_on_a_read_only_file_system(image: Path, rotation: Rotation) -> None:
    rotation.seed(200)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [program("unshare"), "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", _START, "sh", str(image)]
        variables = {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "FLUXBASE_DATABASE_URL": rotation.url,
            "FLUXBASE_SECRET_KEY_1": OLD_KEY.hex(),
            "FLUXBASE_SECRET_KEY_2": NEW_KEY.hex(),
        }
        return subprocess.run(
            [*line, *arguments], env=variables, capture_output=True, text=True, timeout=120, check=False
        )

    moved = run("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes")
    assert moved.returncode == 0, moved.stderr
    assert "✓ Re-encrypted 170 secrets" in moved.stdout
    proven = run("secrets", "audit", "--key-version", "1")
    assert (proven.returncode, proven.stdout) == (0, "No secrets found encrypted with key version 1\n")
    # Nothing can be written, not even beside the program.
    written = run("keys", "generate", "--out", "/opt/fluxbase-cli/key")
    assert written.returncode == 2
    assert "Read-only file system" in written.stderr + written.stdout
