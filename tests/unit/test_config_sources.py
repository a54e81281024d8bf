"""Which files are read, in which order, and the errors for files that can't be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase_cli.config import Settings, load_settings
from fluxbase_cli.config.environment import EnvFile, Environment
from fluxbase_cli.errors import ConfigurationError, ExitCode


def load(directory: Path, environ: dict[str, str] | None = None, config: Path | None = None) -> Settings:
    return load_settings(config=config, directory=directory, environ=environ or {}, system_directory=directory / "etc")


def refusal(directory: Path, environ: dict[str, str] | None = None, config: Path | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(directory, environ, config)
    assert caught.value.exit_code is ExitCode.USAGE
    assert "\n" not in caught.value.message
    # A chained exception would contain the part of the file that the message leaves out.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.message


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """A working directory inside a directory of the test, because `../.env` is searched too."""
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_any_file_the_servers_defaults_apply(workdir: Path) -> None:
    settings = load(workdir)
    assert (settings.config_file, settings.env_file) == (None, None)
    assert settings.database.describe() == "postgres@localhost:5432/fluxbase"
    assert settings.database.source == "defaults"
    assert settings.encryption.keys == ()
    assert settings.warnings == ()


def test_the_configuration_file_is_searched_for_in_the_servers_order(workdir: Path) -> None:
    names = (
        "fluxbase.yaml",
        "fluxbase.yml",
        "config/fluxbase.yaml",
        "config/fluxbase.yml",
        "etc/fluxbase.yaml",
        "etc/fluxbase.yml",
    )
    for name in reversed(names):
        put(workdir / name, f"database: {{host: '{name.replace('/', '-')}'}}")
        settings = load(workdir)
        assert settings.config_file == workdir / name
        assert settings.database.host == name.replace("/", "-")


def test_a_named_file_is_read_instead_of_all_others(workdir: Path) -> None:
    put(workdir / "fluxbase.yaml", "database: {host: found}")
    put(workdir / "other.yaml", "database: {host: named}")
    assert load(workdir, config=Path("other.yaml")).database.host == "named"
    assert load(workdir, config=workdir / "other.yaml").database.host == "named"


def test_a_named_file_must_exist(workdir: Path) -> None:
    put(workdir / "fluxbase.yaml", "database: {host: found}")
    message = refusal(workdir, config=Path("missing.yaml"))
    assert "missing.yaml" in message
    assert "No such file" in message


@pytest.mark.parametrize("config", [None, Path("fluxbase.yaml")])
def test_a_folder_in_the_place_of_the_file_is_refused(workdir: Path, config: Path | None) -> None:
    (workdir / "fluxbase.yaml").mkdir()
    named = "" if config is None else "--config "
    assert refusal(workdir, config=config) == f"{named}fluxbase.yaml can't be read: Is a directory"


def test_a_loop_of_links_is_refused(workdir: Path) -> None:
    (workdir / "fluxbase.yaml").symlink_to("fluxbase.yaml")
    assert "fluxbase.yaml can't be read" in refusal(workdir)


def test_a_folder_that_may_not_be_searched_causes_a_warning(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Path.stat

    def stat(path: Path, *, follow_symlinks: bool = True) -> object:
        if path.parent.name == "etc":
            raise PermissionError
        return original(path, follow_symlinks=follow_symlinks)

    # Root can read every folder, and tests often run as root.
    monkeypatch.setattr(Path, "stat", stat)
    warnings = load(workdir).warnings
    assert len(warnings) == 2
    assert all("permission denied" in warning for warning in warnings)


def test_the_env_file_is_searched_for_in_the_servers_order(workdir: Path) -> None:
    for name in ("../.env", ".env.local", ".env"):
        put(workdir / name, f"FLUXBASE_DATABASE_HOST={name.replace('/', '-')}\n")
        settings = load(workdir)
        assert settings.env_file == workdir / name
        assert settings.database.host == name.replace("/", "-")
        assert settings.database.source == f"{name}: FLUXBASE_DATABASE_HOST"


def test_a_virtual_environment_named_env_is_not_taken_for_an_env_file(workdir: Path) -> None:
    (workdir / ".env").mkdir()
    put(workdir / ".env.local", "FLUXBASE_DATABASE_HOST=local\n")
    assert load(workdir).database.host == "local"


def test_quotes_comments_and_exports_in_the_env_file_are_understood(workdir: Path) -> None:
    put(
        workdir / ".env",
        "# a comment\n\nexport FLUXBASE_DATABASE_HOST=h # one more\n"
        "FLUXBASE_DATABASE_USER='u # no comment'\nFLUXBASE_DATABASE_DATABASE=\"d\"\nALONE\n",
    )
    database = load(workdir).database
    assert (database.host, database.user, database.database) == ("h", "u # no comment", "d")


def test_an_invalid_line_of_the_env_file_is_reported_with_its_number(workdir: Path) -> None:
    put(workdir / ".env", "A=1\n\n\nFLUXBASE_DATABASE_PASSWORD='hunter2\n")
    message = refusal(workdir)
    assert message == ".env can't be understood at line 4"


def test_a_dollar_in_the_env_file_is_kept_with_a_warning_because_the_server_replaces_it(workdir: Path) -> None:
    put(
        workdir / ".env",
        "FLUXBASE_DATABASE_PASSWORD=pa$SS\nFLUXBASE_DATABASE_USER='u$ER'\nFLUXBASE_DATABASE_HOST=h # $5\nOTHER=a$B\n",
    )
    settings = load(workdir)
    assert settings.database.password.reveal() == "pa$SS"
    assert settings.database.user == "u$ER"
    (warning,) = settings.warnings
    assert warning.startswith(".env: FLUXBASE_DATABASE_PASSWORD has a $ in it")
    assert load(workdir, {"FLUXBASE_DATABASE_PASSWORD": "p"}).warnings == ()


@pytest.mark.parametrize("name", ["fluxbase.yaml", ".env"])
def test_a_file_that_is_not_utf8_is_refused_and_its_bytes_are_not_shown(workdir: Path, name: str) -> None:
    (workdir / name).write_bytes(b"a: 'hunter2 \xff'\n")
    assert refusal(workdir) == f"{name} is not UTF-8 (byte 13)"


@pytest.mark.parametrize(
    ("name", "text"), [("fluxbase.yaml", "database: {host: h}"), (".env", "FLUXBASE_DATABASE_HOST=h")]
)
def test_a_byte_order_mark_is_ignored(workdir: Path, name: str, text: str) -> None:
    (workdir / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load(workdir).database.host == "h"


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "~\n"])
def test_an_empty_file_sets_nothing(workdir: Path, text: str) -> None:
    put(workdir / "fluxbase.yaml", text)
    assert load(workdir).database.describe() == "postgres@localhost:5432/fluxbase"


@pytest.mark.parametrize("text", ["- a\n", "hunter2\n", "12\n"])
def test_a_file_that_is_not_a_mapping_is_refused(workdir: Path, text: str) -> None:
    put(workdir / "fluxbase.yaml", text)
    assert "must be a mapping" in refusal(workdir)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\nkey: 'hunter2\n", "line 3, column 1"),
        ("database:\n\tpassword: hunter2\n", "line 2, column 1"),
        ("password: hunter2\n  host: h\n", "line 2, column 7"),
        ("password: *hunter2\n", "line 1, column 11"),
        ("a: 1\nb: hun\x07ter2\n", "line 2, column 7"),
        ("a: 1\n---\npassword: hunter2\n", "line 2, column 1"),
    ],
)
def test_invalid_yaml_is_reported_by_line_and_column_and_not_quoted(workdir: Path, text: str, place: str) -> None:
    put(workdir / "fluxbase.yaml", text)
    assert refusal(workdir) == f"fluxbase.yaml is not valid YAML at {place}"


@pytest.mark.parametrize("text", ["[" * 5000, "a: " + "{a: " * 3000])
def test_a_file_that_is_nested_too_deeply_gives_an_error_of_one_line_too(workdir: Path, text: str) -> None:
    put(workdir / "fluxbase.yaml", text)
    assert "fluxbase.yaml is not valid YAML" in refusal(workdir)


def test_a_name_that_stands_twice_is_refused_at_every_level(workdir: Path) -> None:
    put(workdir / "fluxbase.yaml", "storage:\n  s3: {a: 1}\n  s3: {b: 2}\n")
    assert refusal(workdir) == "fluxbase.yaml has the same name twice in one mapping (line 3)"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Hunter2: 1\nhunter2: 2\n", "fluxbase.yaml has the same name twice, in different case (line 2)"),
        (
            "database:\n  host: a\n  HOST: b\n",
            "fluxbase.yaml: database has the same name twice, in different case (line 3)",
        ),
        (
            "security:\n  encryption:\n    keys:\n    - {version: 1, key: a, Key: b}\n",
            "fluxbase.yaml: security.encryption.keys[0] has the same name twice, in different case (line 4)",
        ),
    ],
)
def test_a_name_that_stands_twice_in_different_case_is_refused_and_not_quoted(
    workdir: Path, text: str, place: str
) -> None:
    put(workdir / "fluxbase.yaml", text)
    assert refusal(workdir) == place


def test_names_are_read_in_any_case_at_every_level(workdir: Path) -> None:
    put(
        workdir / "fluxbase.yaml",
        "DataBase:\n  HOST: h\nSecurity:\n  ENCRYPTION:\n    Keys:\n    - {Version: 3, KEY: k}\n",
    )
    settings = load(workdir)
    assert settings.database.host == "h"
    assert [entry.version for entry in settings.encryption.keys] == [3]


def test_a_merge_adds_only_the_names_that_the_mapping_does_not_have(workdir: Path) -> None:
    put(workdir / "fluxbase.yaml", "base: &base {host: h, port: 1}\ndatabase:\n  <<: *base\n  port: 2\n")
    database = load(workdir).database
    assert (database.host, database.port) == ("h", 2)


def test_errors_in_the_servers_other_sections_are_ignored(workdir: Path) -> None:
    put(
        workdir / "fluxbase.yaml",
        "storage:\n  s3: {secret: '${UNSET}', since: 2024-13-45, x: !custom y, n: 0x, 12: 13}\n"
        "loop: &loop [*loop]\nserver: 12e34\ndatabase: {host: h, max_connections: [], whatever: '${UNSET}'}\n",
    )
    assert load(workdir).database.host == "h"


@pytest.mark.parametrize("text", ["database: 7\n", "database: [a]\n", "security: {encryption: x}\n"])
def test_a_section_that_is_not_a_mapping_is_refused(workdir: Path, text: str) -> None:
    put(workdir / "fluxbase.yaml", text)
    assert "must be a mapping" in refusal(workdir)


def test_an_empty_section_is_treated_as_a_missing_one(workdir: Path) -> None:
    put(workdir / "fluxbase.yaml", "database:\nsecurity:\n  encryption:\n    keys:\n    provider:\n")
    assert load(workdir).encryption.keys == ()


def test_the_options_of_the_command_line_are_not_read_here(workdir: Path) -> None:
    put(workdir / "other.yaml", "database: {host: other}")
    environ = {
        "FLUXBASE_CLI_CONFIG": str(workdir / "other.yaml"),
        "FLUXBASE_CLI_DATABASE_URL": "postgresql://elsewhere/d",
        "FLUXBASE_CLI_DATABASE_HOST": "elsewhere",
    }
    assert load(workdir, environ).database.describe() == "postgres@localhost:5432/fluxbase"


names = st.sampled_from(["A", "B", "C"])
values = st.one_of(st.just(""), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5))


@given(real=st.dictionaries(names, values), file=st.dictionaries(names, values), name=names)
def test_the_real_environment_wins_and_an_empty_variable_is_unset(
    real: dict[str, str], file: dict[str, str], name: str
) -> None:
    environment = Environment(real, EnvFile(values=file))
    found = environment.get(name)
    # godotenv never changes a variable that exists, empty or not; viper treats an empty variable as unset.
    expected = {**file, **real}.get(name, "")
    assert (found.value if found else "") == expected
    assert (found is None) == (expected == "")
    assert (name in environment.names()) == (expected != "")
    if found is not None:
        assert found.place == (f"environment: {name}" if name in real else f".env: {name}")


def test_an_empty_variable_of_the_process_disables_the_variable_of_the_env_file(workdir: Path) -> None:
    put(workdir / ".env", "FLUXBASE_DATABASE_HOST=dotenv\n")
    put(workdir / "fluxbase.yaml", "database: {host: file}")
    assert load(workdir).database.host == "dotenv"
    assert load(workdir, {"FLUXBASE_DATABASE_HOST": "real"}).database.host == "real"
    assert load(workdir, {"FLUXBASE_DATABASE_HOST": ""}).database.host == "file"
