"""Makes a key version active in fluxbase.yaml, by changing as few characters as possible.

The file belongs to the operator, so comments, order, quotes and line ends do not change. PyYAML gives the position of a
value in the text. The changed text is parsed again and compared with the expected result before it replaces the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from fluxbase_cli.config.files import read_bytes
from fluxbase_cli.config.replace_file import replace_file
from fluxbase_cli.config.yaml_nodes import NotYamlError, compose

_PATH = ("security", "encryption")
_ACTIVE = "active_key_version"
_KEYS = "keys"
_UNUSUAL = "it is written in a way that can't be changed without changing something else"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the file.

    Attributes:
        version: the version to make active.
        setting: the settings of the key's new entry in `keys`, besides its version; empty if no entry is needed.
        activate: whether the file holds the active version. False if it only says where that is kept.
    """

    version: int
    setting: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    activate: bool = True

    def lines(self) -> list[str]:
        """The change as an operator would write it."""
        lines = ["security:", "  encryption:"]
        if self.activate:
            lines.append(f"    {_ACTIVE}: {self.version}")
        if self.setting:
            lines += ["    keys:", "      # after the others:"]
            lines += [f"      {line}" for line in _block_entry(self)]
        return lines


class CantEditError(Exception):
    """This tool can't change the file. The text says why, and quotes nothing of the file."""


def edit_file(path: Path, change: Change) -> Path | None:
    """Make a version active in a file (see `replace_file`). The old file is kept in the same folder.

    Returns:
        The path of the old file; None if no change was needed.

    Raises:
        CantEditError: the file has a form that only a person should change, or we may not write it.
    """
    target = Path(os.path.realpath(path))
    try:
        before = read_bytes(target)
        text = before.decode("utf-8")
    except OSError as error:
        raise CantEditError(_words(error)) from None
    except UnicodeDecodeError:
        raise CantEditError("it is not UTF-8") from None
    edited = edit_text(text, change)
    if edited == text:
        return None
    backup = target.with_name(f"{target.name}.before-v{change.version}")
    try:
        replace_file(target, before, edited.encode("utf-8"), backup)
    except OSError as error:
        raise CantEditError(_words(error)) from None
    return backup


def edit_text(text: str, change: Change) -> str:
    """Return the text of a configuration file with a version made active.

    Raises:
        CantEditError: the text has a form that only a person should change.
    """
    edited = text
    section, data = _section(edited)
    if change.setting and not _has_entry(section, change.version):
        edited = _add_entry(edited, section, change)
        data = _with_entry(data, change)
        section, _ = _reread(edited)
    if change.activate:
        edited = _set_active(edited, section, change.version)
        data = _with_active(data, change.version)
    if _reread(edited)[1] != data:
        raise CantEditError(_UNUSUAL)
    return edited


def _reread(edited: str) -> tuple[yaml.MappingNode, Any]:
    try:
        return _section(edited)
    except CantEditError:
        raise CantEditError(_UNUSUAL) from None


def _section(text: str) -> tuple[yaml.MappingNode, Any]:
    """Return the node `security.encryption`, and the whole file as data."""
    try:
        root = compose(text)
        data = _data(root)
    except (NotYamlError, RecursionError):
        raise CantEditError("it is not YAML that can be read") from None
    node: yaml.Node | None = root
    for name in _PATH:
        node = None if node is None else _member(node, name)
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise CantEditError("it has no section security.encryption")
    return node, data


def _member(node: yaml.Node, name: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value.lower() == name:
                return value if isinstance(value, yaml.Node) else None
    return None


def _has_entry(section: yaml.MappingNode, version: int) -> bool:
    keys = _member(section, _KEYS)
    if not isinstance(keys, yaml.SequenceNode):
        return False
    versions = (_member(item, "version") for item in keys.value)
    return any(isinstance(each, yaml.ScalarNode) and each.value == str(version) for each in versions)


def _set_active(text: str, section: yaml.MappingNode, version: int) -> str:
    node = _member(section, _ACTIVE)
    if node is None:
        first = section.value[0][0].start_mark
        separator = ", " if section.flow_style else _line_end(text) + " " * first.column
        return f"{text[: first.index]}{_ACTIVE}: {version}{separator}{text[first.index :]}"
    if not isinstance(node, yaml.ScalarNode):
        raise CantEditError(f"its {_ACTIVE} is no number")
    if "${" in node.value:
        raise CantEditError(f"its {_ACTIVE} comes from a variable")
    start, end = node.start_mark.index, node.end_mark.index
    if node.value == "":
        # `active_key_version:` with nothing after it.
        return f"{text[:start]} {version}{text[end:]}"
    quote = node.style if node.style in ("'", '"') else ""
    return f"{text[:start]}{quote}{version}{quote}{text[end:]}"


def _add_entry(text: str, section: yaml.MappingNode, change: Change) -> str:
    keys = _member(section, _KEYS)
    if not isinstance(keys, yaml.SequenceNode) or not keys.value:
        raise CantEditError("its keys are not listed in it")
    last = keys.value[-1]
    if keys.flow_style:
        end = last.end_mark.index
        return f"{text[:end]}, {_flow_entry(change)}{text[end:]}"
    indent = " " * keys.start_mark.column
    lines = [f"- {_flow_entry(change)}"] if last.flow_style else _block_entry(change)
    end = _end(last)
    newline = _line_end(text)
    # Insert after the end of the last entry's line, because a comment may follow the entry.
    if text[end - 1 : end] != "\n":
        found = text.find("\n", end)
        end = len(text) if found < 0 else found + 1
    lead = "" if text[:end].endswith("\n") else newline
    return text[:end] + lead + "".join(f"{indent}{line}{newline}" for line in lines) + text[end:]


def _end(node: yaml.Node) -> int:
    """The end of a node in the text.

    For a block, PyYAML's end mark is the start of the next node. So the end of the block's last value is used instead.
    """
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _end(node.value[-1])
    return int(node.end_mark.index)


def _block_entry(change: Change) -> list[str]:
    return [f"- version: {change.version}", *(f"  {name}: {json.dumps(text)}" for name, text in change.setting.items())]


def _flow_entry(change: Change) -> str:
    rest = "".join(f", {name}: {json.dumps(text)}" for name, text in change.setting.items())
    return f"{{version: {change.version}{rest}}}"


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _data(node: yaml.Node | None) -> Any:  # noqa: ANN401  # any value of the file
    if isinstance(node, yaml.MappingNode):
        return [(_data(key), _data(value)) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [_data(item) for item in node.value]
    return None if node is None else node.value


def _at_section(data: Any, change: Any) -> Any:  # noqa: ANN401
    """Return the data with the section replaced by the result of a function."""

    def descend(pairs: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401
        if not path:
            return change(pairs)
        done = False
        changed = []
        for key, value in pairs:
            if not done and isinstance(key, str) and key.lower() == path[0]:
                changed.append((key, descend(value, path[1:])))
                done = True
            else:
                changed.append((key, value))
        return changed

    return descend(data, _PATH)


def _with_active(data: Any, version: int) -> Any:  # noqa: ANN401
    def change(pairs: Any) -> Any:  # noqa: ANN401
        names = [key.lower() if isinstance(key, str) else "" for key, _ in pairs]
        if _ACTIVE not in names:
            return [(_ACTIVE, str(version)), *pairs]
        index = names.index(_ACTIVE)
        return [*pairs[:index], (pairs[index][0], str(version)), *pairs[index + 1 :]]

    return _at_section(data, change)


def _with_entry(data: Any, change: Change) -> Any:  # noqa: ANN401
    entry = [("version", str(change.version)), *change.setting.items()]

    def add(pairs: Any) -> Any:  # noqa: ANN401
        return [
            (key, [*value, entry]) if isinstance(key, str) and key.lower() == _KEYS else (key, value)
            for key, value in pairs
        ]

    return _at_section(data, add)


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__
