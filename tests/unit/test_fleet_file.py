"""The fleet file: what it may say, and one clear line for each kind of mistake."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from fluxbase_cli.config import load_settings
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.fleet.environment import _NAMES, variables_of
from fluxbase_cli.fleet.file import Instance, read_fleet
from fluxbase_cli.fleet.outcome import InstanceResult, worst

_GOOD = "instances:\n  - {name: eu, config: eu/fluxbase.yaml}\n  - {name: us, config: us/fluxbase.yaml}\n"
_ROOT = Path(__file__).parents[2]
#: Names on the page that stand for an explicit list in the code, not for a prefix.
_GLOBS = {"XDG_*", "PGSSL*", "KRB5*"}
_MARKER = "the-secret-marker"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the configurations of two instances."""
    for name in ("eu", "us"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "fluxbase.yaml").touch()
    return tmp_path


def put(folder: Path, text: str | bytes) -> Path:
    path = folder / "fleet.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refusal(folder: Path, text: str | bytes) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        read_fleet(put(folder, text))
    error = caught.value
    assert error.exit_code is ExitCode.USAGE
    assert "\n" not in error.message
    assert error.message.isprintable()
    assert "fleet.yaml" in error.message
    assert error.hint
    assert _MARKER not in error.message + error.hint
    assert error.__suppress_context__ or error.__context__ is None
    return error


def test_paths_are_relative_to_the_folder_of_the_file(folder: Path) -> None:
    (folder / "eu" / "work").mkdir()
    (folder / "secrets.env").write_text("OLD='a$b'\nNEW=c\n")
    text = "instances:\n- name: eu\n  config: eu/fluxbase.yaml\n  directory: eu/work\n  env_file: secrets.env\n"

    fleet = read_fleet(put(folder, text))

    assert fleet.instances == (
        Instance("eu", folder / "eu" / "fluxbase.yaml", folder / "eu" / "work", {"OLD": "a$b", "NEW": "c"}),
    )
    assert "a$b" not in repr(fleet)


def test_the_directory_is_that_of_the_configuration_unless_another_is_named(folder: Path) -> None:
    fleet = read_fleet(put(folder, _GOOD))

    assert [(each.name, each.directory) for each in fleet.instances] == [("eu", folder / "eu"), ("us", folder / "us")]


def test_a_relative_fleet_file_gives_absolute_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, _GOOD)
    monkeypatch.chdir(folder)

    assert read_fleet(Path("fleet.yaml")).instances[0].config == folder / "eu" / "fluxbase.yaml"


@pytest.mark.parametrize(
    ("text", "place", "remedy"),
    [
        ("", "has no list `instances`", "Write `instances:`"),
        ("instances: []\n", "instances is empty", "List at least one"),
        ("instances:\n", "instances is empty", "Write its value"),
        ("instances: eu\n", "instances must be a list", "`- `"),
        ("instances: [eu]\n", "instances[0] must be a mapping", "config"),
        ("- a\n", "must be a mapping", ""),
        ("instances:\n- {name: eu}\n", "instances[0] has no config", "needs a name and a config"),
        ("instances:\n- {config: eu/fluxbase.yaml}\n", "instances[0] has no name", "needs a name and a config"),
        (f"{_GOOD}paralell: 3\n", "unknown key 'paralell'", "The known names are: instances, pass_environment"),
        (f"{_GOOD}instance: 3\n", "unknown key 'instance'", "Did you mean 'instances'?"),
        (f"{_GOOD}'{_MARKER} ': 3\n", "an unknown key", "The known names are"),
        ("instances:\n- {name: eu, confg: x}\n", "instances[0] has the unknown key 'confg'", "Did you mean 'config'?"),
        (
            f"instances:\n- {{name: eu, config: eu/fluxbase.yaml, password: {_MARKER}}}\n",
            "instances[0] has the unknown key 'password'",
            "The known names are: name, config, directory, env_file",
        ),
        (
            f"{_GOOD}  - {{name: eu, config: us/fluxbase.yaml}}\n",
            "instances[2].name is 'eu', as is",
            "a different name",
        ),
        (f"{_GOOD}  - {{name: de, config: us/fluxbase.yaml}}\n", "'de' and 'us' have the same", "remove one"),
        ("instances:\n- {name: eu, config: de/fluxbase.yaml}\n", "there is no file", "relative path"),
        ("instances:\n- {name: eu, config: eu}\n", "instances[0].config: there is no file", "relative path"),
        ('instances:\n- {name: eu, config: "a\\u001b[2Jb"}\n', r"a\x1b[2Jb", "relative path"),
        ('instances:\n- {name: eu, config: "a\\0b"}\n', r"a\x00b", "relative path"),
        ("instances:\n- {name: eu, config: [a]}\n", "instances[0].config must be a single value", "same line"),
        ("instances:\n- {name: eu, config: }\n", "instances[0].config is empty", "Write its value"),
        ("instances:\n- {name: eu, config: ''}\n", "instances[0].config is empty", "Write its value"),
        (f"instances:\n- {{name: eu, config: 'postgresql://u:{_MARKER}@h/d'}}\n", "config is a URL", "path of a file"),
        (
            "instances:\n- {name: eu, config: eu/fluxbase.yaml, directory: eu/fluxbase.yaml}\n",
            "instances[0].directory: there is no folder",
            "relative path",
        ),
        (
            "instances:\n- {name: eu, config: eu/fluxbase.yaml, env_file: none.env}\n",
            "instances[0].env_file: there is no file",
            "relative path",
        ),
        ('instances:\n- {name: "a\\tb", config: eu/fluxbase.yaml}\n', "instances[0].name can't be a name", "printable"),
        ("instances:\n- {name: ' eu', config: eu/fluxbase.yaml}\n", "name can't be a name", "no space at either end"),
        (f"instances:\n- {{name: {'x' * 65}, config: eu/fluxbase.yaml}}\n", "name can't be a name", "1 to 64"),
        ("instances:\n- {name: 0123, config: eu/fluxbase.yaml}\n", "instances[0].name is not text", "quotes"),
        ("instances:\n\t- x\n", "is not valid YAML at line 2, column 1", "tab"),
        ("instances: [\n", "is not valid YAML at line", "tab"),
        (f"{_GOOD}instances: []\n", "has the same name twice in one mapping (line 4)", "Keep one"),
        (f"{_GOOD}pass_environment: HOME\n", "pass_environment must be a list", "`- `"),
        (f"{_GOOD}pass_environment: [FLUXBASE_ENCRYPTION_KEY]\n", "can't be passed to all", "belongs to one instance"),
        (f"{_GOOD}pass_environment: ['{_MARKER}=1']\n", "pass_environment[0] is not the name", "not its value"),
        (b"instances: \xff\n", "is not UTF-8", "UTF-8"),
        (" " * ((1 << 20) + 1), "is larger than 1 MiB", "lists the instances"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_where_and_what_to_do(
    folder: Path, text: str | bytes, place: str, remedy: str
) -> None:
    error = refusal(folder, text)

    assert place in error.message
    assert remedy in (error.hint or "")


@pytest.mark.parametrize("text", ["x: &x {<<: *x}", "x: &x [*x]", "x: &x [1]\ny: *x"])
def test_an_alias_is_refused(folder: Path, text: str) -> None:
    assert "has an alias (*name) at line" in refusal(folder, f"{_GOOD}{text}\n").message


def test_a_bomb_of_aliases_costs_nothing(folder: Path) -> None:
    """Each entry merges the one above it ten times: a million pairs in the last one."""
    text = "instances:\n- &l0 {name: eu, config: eu/fluxbase.yaml}\n"
    for number in range(1, 7):
        text += f"- &l{number} {{<<: [{', '.join([f'*l{number - 1}'] * 10)}]}}\n"
    started = time.process_time()

    error = refusal(folder, text)

    assert "its aliases (*name) stand for too many values" in error.message
    assert time.process_time() - started < 0.5


def test_deep_nesting_is_refused_without_a_crash(folder: Path) -> None:
    assert "is not valid YAML" in refusal(folder, "[" * 1_000).message


@pytest.mark.parametrize("what", ["absent", "folder", "pipe"])
def test_a_path_that_is_not_a_file_is_refused_at_once(tmp_path: Path, what: str) -> None:
    path = tmp_path / "fleet.yaml"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)

    with pytest.raises(ConfigurationError) as caught:
        read_fleet(path)

    assert "--fleet " in caught.value.message
    assert ("can't be read: No such file" if what == "absent" else "is not a regular file") in caught.value.message


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("FLUXBASE_CLI_TO_VERSION=3", "sets FLUXBASE_CLI_TO_VERSION"),
        (f"this is no 'assignment {_MARKER}", "can't be understood at line 1"),
    ],
)
def test_a_mistake_in_an_env_file_is_reported_before_any_instance_is_started(
    folder: Path, line: str, what: str
) -> None:
    (folder / "eu.env").write_text(f"{line}\n")

    error = refusal(folder, "instances:\n- {name: eu, config: eu/fluxbase.yaml, env_file: eu.env}\n")

    assert "instances[0].env_file" in error.message
    assert what in error.message


# --- the environment --------------------------------------------------------------------------------------------------


def test_an_instance_gets_the_named_variables_and_its_own(folder: Path) -> None:
    (folder / "eu.env").write_text("OLD_SECRET_KEY=of-eu\nVAULT_TOKEN=of-eu\n")
    text = (
        "instances:\n- {name: eu, config: eu/fluxbase.yaml, env_file: eu.env}\n- {name: us, config: us/fluxbase.yaml}\n"
    )
    fleet = read_fleet(put(folder, f"{text}pass_environment: [HSM_SLOT]\n"))
    passes = {
        "PATH": "/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "https_proxy": "http://proxy",
        "VAULT_TOKEN": "ours",
        "AWS_PROFILE": "ours",
        "PGPASSFILE": "/pgpass",
        "HSM_SLOT": "3",
    }
    stays = {
        "FLUXBASE_SECRET_KEY_1": "x",
        "FLUXBASE_ENCRYPTION_KEY": "x",
        "FLUXBASE_DATABASE_PASSWORD": "x",
        "FLUXBASE_DATABASE_URL": "x",
        "FLUXBASE_CLI_FLEET": "x",
        "FLUXBASE_CLI_BATCH_SIZE": "x",
        "OLD_SECRET_KEY": "ours",
        "NEW_SECRET_KEY": "ours",
        "PGHOST": "x",
        "PGSERVICE": "x",
        "PGOPTIONS": "x",
        "PGPASSWORD": "x",
    }

    eu, us = (variables_of(instance, fleet, passes | stays) for instance in fleet.instances)

    assert us == passes
    assert eu == passes | {"OLD_SECRET_KEY": "of-eu", "VAULT_TOKEN": "of-eu"}


# --- the documentation ------------------------------------------------------------------------------------------------


def test_the_example_is_a_fleet_whose_configurations_can_be_read() -> None:
    fleet = read_fleet(_ROOT / "examples" / "fleet" / "fleet.yaml")

    assert [each.name for each in fleet.instances] == ["eu", "us"]
    for instance in fleet.instances:
        variables = {"ADMIN_PASSWORD": "x", "OLD_SECRET_KEY": "1" * 64, "NEW_SECRET_KEY": "2" * 64}
        settings = load_settings(config=instance.config, directory=instance.directory, environ=variables)
        assert settings.database.describe() == f"fluxbase_admin@db.{instance.name}.internal:5432/fluxbase"
        assert [entry.version for entry in settings.encryption.keys] == [1, 2]
        assert not settings.warnings


def test_the_variables_that_are_passed_on_are_the_documented_ones(folder: Path) -> None:
    """Every name in the page's table is passed on, and every name that is passed on is in the table."""
    page = (_ROOT / "docs" / "operators" / "fleet.md").read_text(encoding="utf-8")
    table = page[page.index("| passes | why |") : page.index("Nothing else passes")]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
    documented = {name for cell in cells for name in re.findall("`([A-Z0-9_*]+)`", cell)}
    patterns = [re.compile(name.replace("*", ".*"), re.IGNORECASE) for name in documented]
    fleet = read_fleet(put(folder, _GOOD))

    passed = variables_of(fleet.instances[0], fleet, {name.replace("*", "X"): "" for name in documented - _GLOBS})

    assert {name for name in _NAMES if not any(pattern.fullmatch(name) for pattern in patterns)} == set()
    assert set(passed) == {name.replace("*", "X") for name in documented - _GLOBS}


def test_the_order_of_exit_codes_is_the_documented_one() -> None:
    page = (_ROOT / "docs" / "operators" / "fleet.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([0-9, ]+) \| `([a-z-]+)` \|", page, re.MULTILINE)
    codes = [(int(code), outcome) for cell, outcome in rows for code in cell.split(",")]

    assert len(codes) == 9
    for index, (code, outcome) in enumerate(codes):
        assert worst([later for later, _ in codes[index:]]) == code
        assert InstanceResult(Instance("eu", Path(), Path()), code).outcome.value == outcome
