"""The fleet file: a YAML list of instances, each with its own configuration.

The whole file is checked before any instance is changed. It holds only names and paths. Passwords and keys stay in each
instance's own configuration, `.env` and `env_file`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from fluxbase_cli.config.document import Value, read_document
from fluxbase_cli.config.environment import read_env_file
from fluxbase_cli.config.files import SourceFile, read_text
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.printable import printable

_TOP_KEYS = ("instances", "pass_environment")
_INSTANCE_KEYS = ("name", "config", "directory", "env_file")
#: Enough for thousands of instances. A larger file is probably the wrong file.
_MAX_BYTES = 1 << 20
_MAX_NAME = 64
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: An unknown key is quoted only if it looks like a key: in a wrong file it could be a secret.
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
_FORM = "Write `instances:` and below it `- name: …` and `config: …`, in UTF-8."


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of the fleet.

    Attributes:
        name: unique in the fleet, printable, at most 64 characters.
        config: its fluxbase.yaml, an absolute path.
        directory: its working directory, where its `.env` is searched, an absolute path.
        variables: the variables of its `env_file`.
    """

    name: str
    config: Path
    directory: Path
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The instances in the order of the file.

    Attributes:
        path: the file.
        instances: the instances, at least one.
        pass_environment: names of more variables of our environment that every instance gets.
    """

    path: Path
    instances: tuple[Instance, ...]
    pass_environment: tuple[str, ...] = ()


def read_fleet(path: Path) -> Fleet:
    """Read and check a fleet file.

    Args:
        path: the file; paths in it are relative to its folder.

    Raises:
        ConfigurationError: the file has a mistake, or a file that it names does not exist. The message names the place,
            and quotes no value that could be a secret.
    """
    label = printable(str(path))
    _refuse_other_than_file(path, label)
    file = SourceFile(path, label)
    members = _members(_document(file), _TOP_KEYS)
    if "instances" not in members:
        raise ConfigurationError(f"{label} has no list `instances`", hint=_FORM)
    folder = path.absolute().parent
    instances = tuple(_instance(value, folder) for value in _items(members["instances"]))
    if not instances:
        raise ConfigurationError(f"{label}: instances is empty", hint="List at least one instance.")
    _refuse_twice(instances, label)
    names = _items(members["pass_environment"]) if "pass_environment" in members else []
    return Fleet(path, instances, tuple(_variable_name(value) for value in names))


def _refuse_other_than_file(path: Path, label: str) -> None:
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(
            f"--fleet {label} can't be read: {why}", hint="Name the YAML file that lists the instances."
        ) from None
    if not path.is_file():
        raise ConfigurationError(
            f"--fleet {label} is not a regular file", hint="Name the YAML file that lists the instances."
        )
    if size > _MAX_BYTES:
        raise ConfigurationError(
            f"--fleet {label} is larger than {_MAX_BYTES >> 20} MiB",
            hint="Name the YAML file that lists the instances.",
        )


def _document(file: SourceFile) -> Value:
    try:
        document = read_document(file)
    except ConfigurationError as error:
        raise ConfigurationError(error.message, hint=error.hint or _FORM) from None
    _refuse_aliases(file)
    return document


def _refuse_aliases(file: SourceFile) -> None:
    """Refuse `*name`: a few lines with aliases can expand to more values than fit into memory. No fleet needs them."""
    for event in yaml.parse(read_text(file), Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            where = "" if event.start_mark is None else f" at line {event.start_mark.line + 1}"
            raise ConfigurationError(
                f"{file.label} has an alias (*name){where}", hint="Write the value itself in its place."
            )


def _members(value: Value, known: tuple[str, ...]) -> dict[str, Value]:
    members = value.members(fold_case=False)
    for name, member in members.items():
        if name not in known:
            raise _unknown_key(value, name, known)
        if member.is_null:
            raise ConfigurationError(f"{member.place} is empty", hint="Write its value, or remove the line.")
    return members


def _unknown_key(value: Value, name: str, known: tuple[str, ...]) -> ConfigurationError:
    from difflib import get_close_matches  # noqa: PLC0415  # start-up time; needed only after a mistake

    which = f"the unknown key {name!r}" if _KEY.fullmatch(name) else "an unknown key"
    near = get_close_matches(name.lower(), known, 1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    return ConfigurationError(f"{value.place} has {which}", hint=f"{guess}The known names are: {', '.join(known)}.")


def _items(value: Value) -> list[Value]:
    if not value.is_sequence:
        raise ConfigurationError(f"{value.place} must be a list", hint="Begin each of its entries with `- `.")
    return list(value.items())


def _instance(value: Value, folder: Path) -> Instance:
    if not value.is_mapping:
        raise ConfigurationError(f"{value.place} must be a mapping", hint="Write `- name: …` and `config: …`.")
    members = _members(value, _INSTANCE_KEYS)
    for name in ("name", "config"):
        if name not in members:
            raise ConfigurationError(f"{value.place} has no {name}", hint="Every instance needs a name and a config.")
    config = _path(members["config"], folder, kind="file")
    return Instance(
        name=_name(members["name"]),
        config=config,
        directory=_path(members["directory"], folder, kind="folder") if "directory" in members else config.parent,
        variables=_variables(members["env_file"], folder) if "env_file" in members else {},
    )


def _text(value: Value) -> str:
    if value.is_mapping or value.is_sequence:
        raise ConfigurationError(f"{value.place} must be a single value", hint="Write it on the same line.")
    scalar = value.scalar()
    if not (scalar.is_text or scalar.is_plain):
        raise ConfigurationError(f"{value.place} is not text", hint="Put quotes around it.")
    if not scalar.written:
        raise ConfigurationError(f"{value.place} is empty", hint="Write its value, or remove the line.")
    return scalar.written


def _name(value: Value) -> str:
    name = _text(value)
    if not name.isprintable() or name.strip() != name or len(name) > _MAX_NAME:
        raise ConfigurationError(
            f"{value.place} can't be a name",
            hint=f"A name has 1 to {_MAX_NAME} printable characters, with no space at either end.",
        )
    return name


def _path(value: Value, folder: Path, *, kind: str) -> Path:
    text = _text(value)
    if "://" in text:
        # The text is not quoted: the address of a database may hold a password.
        raise ConfigurationError(f"{value.place} is a URL", hint=f"Write the path of a {kind} there.")
    path = folder / text
    try:
        found = path.is_file() if kind == "file" else path.is_dir()
    except (OSError, ValueError):
        found = False
    if not found:
        raise ConfigurationError(
            f"{value.place}: there is no {kind} {printable(str(path))}",
            hint="A relative path begins at the folder of the fleet file; neither ~ nor ${…} is expanded.",
        )
    return path


def _variables(value: Value, folder: Path) -> Mapping[str, str]:
    path = _path(value, folder, kind="file")
    label = f"{value.place}: {printable(str(path))}"
    variables = read_env_file(SourceFile(path, label)).values
    for name, text in variables.items():
        if name.startswith("FLUXBASE_CLI_"):
            raise ConfigurationError(
                f"{label} sets {printable(name)}",
                hint="Options hold for the whole fleet: give them on the command line, and remove this line.",
            )
        if "\0" in text or "=" in name:
            raise ConfigurationError(
                f"{label}: {printable(name)} can't be a variable", hint="Correct its name, or remove the line."
            )
    return variables


def _variable_name(value: Value) -> str:
    name = _text(value)
    if not _VARIABLE.fullmatch(name):
        raise ConfigurationError(f"{value.place} is not the name of a variable", hint="Write its name, not its value.")
    if name.startswith("FLUXBASE_"):
        raise ConfigurationError(
            f"{value.place}: {name} can't be passed to all instances",
            hint="It belongs to one instance: put it into that instance's configuration, .env or env_file.",
        )
    return name


def _refuse_twice(instances: tuple[Instance, ...], label: str) -> None:
    names: dict[str, int] = {}
    settings: list[tuple[Path, Path, Mapping[str, str]]] = []
    for index, instance in enumerate(instances):
        first = names.setdefault(instance.name, index)
        if first != index:
            raise ConfigurationError(
                f"{label}: instances[{index}].name is {instance.name!r}, as is instances[{first}].name",
                hint="Give each instance a different name.",
            )
        same = (instance.config, instance.directory, instance.variables)
        if same in settings:
            other = instances[settings.index(same)].name
            raise ConfigurationError(
                f"{label}: {instance.name!r} and {other!r} have the same config, directory and variables",
                hint="They would work on the same database at once: remove one of the two.",
            )
        settings.append(same)
