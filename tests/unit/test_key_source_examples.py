"""The files in `examples/key-sources/`: they are valid for the programs that read them, and their keys are found."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from fluxbase_cli.config import Secret, Settings, load_settings
from fluxbase_cli.keyring import load_keyring
from tests.fixtures.programs import program

_EXAMPLES = Path(__file__).parents[2] / "examples" / "key-sources"
_VARIABLES = {"FLUXBASE_ADMIN_PASSWORD": "password", "WRAPPED_KEY": "vault:v1:AAAA"}


def settings_of(name: str, **variables: str) -> Settings:
    path = _EXAMPLES / name / "fluxbase.yaml"
    return load_settings(config=path, directory=path.parent, environ={**_VARIABLES, **variables})


def test_every_example_is_read_as_it_says_and_without_a_warning() -> None:
    folders = sorted(path.name for path in _EXAMPLES.iterdir())
    for name in folders:
        settings = settings_of(name)
        assert settings.warnings == ()
        assert name in {entry.provider for entry in settings.encryption.keys} | {settings.encryption.provider}


def test_the_programs_of_the_example_get_these_words_and_no_other_environment(tmp_path: Path) -> None:
    """Each is replaced by a script that prints a key if it was called as its documentation says."""
    calls = {
        "op": ["read", "--no-newline", "op://infra/fluxbase/key-1"],
        "gcloud": ["secrets", "versions", "access", "latest", "--secret=fluxbase-key-2"],
        "az": [
            *("keyvault", "secret", "show", "--vault-name", "infra", "--name", "fluxbase-key-3"),
            *("--query", "value", "--output", "tsv"),
        ],
        "sops": ["-d", "--extract", '["fluxbase"]["key_4"]', "/etc/fluxbase/keys.sops.yaml"],
        "pass": ["show", "fluxbase/key-5"],
    }
    for number, (name, words) in enumerate(calls.items()):
        script = tmp_path / name
        expected = shlex.quote("|".join(words))
        script.write_text(
            f'#!/bin/sh\nIFS="|"; test "$*" = {expected} && test -z "$FLUXBASE_ADMIN_PASSWORD" &&\n'
            f'test "$OP_SERVICE_ACCOUNT_TOKEN" = t && printf %064d {number}\n'
        )
        script.chmod(0o700)
    environ = {**_VARIABLES, "PATH": f"{tmp_path}:{os.environ['PATH']}", "OP_SERVICE_ACCOUNT_TOKEN": "t"}

    ring = load_keyring(settings_of("command").encryption, environ)

    assert [int.from_bytes(key.secret) for key in ring.keys] == [4, 3, 2, 1, 0]


def _paths(environment: dict[str, str]) -> list[str]:
    """The paths of the key files that these variables name, as the tool reads them."""
    settings = load_settings(directory=Path("/nowhere"), environ=environment)
    options = [entry.options["key_file"] for entry in settings.encryption.keys]
    return [option.reveal() for option in options if isinstance(option, Secret)]


def test_kubernetes_accepts_the_pod_and_mounts_the_keys_where_they_are_read() -> None:
    pod = yaml.safe_load((_EXAMPLES / "file" / "pod.yaml").read_text(encoding="utf-8"))
    kubernetes_validate.validate(pod, "1.30", strict=True)
    container: dict[str, Any] = pod["spec"]["containers"][0]
    (mount,) = container["volumeMounts"]
    assert _paths({each["name"]: each["value"] for each in container["env"]}) == [
        f"{mount['mountPath']}/v1",
        f"{mount['mountPath']}/v2",
    ]
    # With 0644, the default, the keys would be refused.
    assert pod["spec"]["volumes"][0]["secret"]["defaultMode"] == 0o400


@pytest.mark.slow
def test_compose_mounts_the_secrets_where_they_are_read() -> None:
    file = yaml.safe_load((_EXAMPLES / "file" / "docker-compose.yml").read_text(encoding="utf-8"))
    service = file["services"]["fluxbase-cli"]
    assert _paths(service["environment"]) == [f"/run/secrets/{name}" for name in service["secrets"]]
    assert set(service["secrets"]) == set(file["secrets"])
    line = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*line, str(_EXAMPLES / "file" / "docker-compose.yml")], check=False, capture_output=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_systemd_accepts_the_unit_and_gives_it_the_credentials_that_are_read(tmp_path: Path) -> None:
    text = (_EXAMPLES / "file" / "fluxbase-audit.service").read_text(encoding="utf-8")
    settings = [line.partition("=")[::2] for line in text.splitlines() if "=" in line and not line.startswith("#")]
    credentials = [value for name, value in settings if name == "LoadCredentialEncrypted"]
    environment = dict(value.partition("=")[::2] for name, value in settings if name == "Environment")
    assert _paths({name: value.replace("%d", "/c") for name, value in environment.items()}) == [
        f"/c/{name}" for name in credentials
    ]
    verify = program("systemd-analyze")
    unit = tmp_path / "fluxbase-audit.service"
    unit.write_text(text.replace("/usr/local/bin/fluxbase-cli", sys.executable))
    done = subprocess.run([verify, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, "fluxbase-audit" in done.stderr) == (0, False), done.stderr
