"""The YAML file as a tree of values that know their place.

The tree is walked only where a setting is asked for, so that nothing in the server's many other sections can stop us.
PyYAML composes it; it constructs nothing, since what it would make of an unquoted `0123` or `12e34` is not what was
written. Its error texts quote the file and are never shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from fluxbase_cli.config.files import read_text
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxbase_cli.config.files import SourceFile

_TAG = "tag:yaml.org,2002:"
#: `0123`, `1_000` and `0x1F` are numbers to one parser and others, or none, to the next.
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,17}")
#: Text to PyYAML, which follows YAML 1.1, and a number to the server's parser: 1.2's floats without a dot, and octals.
_GO_NUMBER = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+|0o[0-7]+")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value.

    Attributes:
        written: as it is written, without its quotes.
        is_text: whether YAML takes it for text; quotes make anything text.
        is_plain: whether it is a boolean, or a whole number that every parser reads alike.
    """

    written: str = field(repr=False)
    is_text: bool
    is_plain: bool


@dataclass(frozen=True, slots=True)
class Value:
    """A node of the tree.

    Attributes:
        label: how the file is called in messages.
        path: the dotted path from the top of the file, in lower case.
    """

    label: str
    path: str
    _node: yaml.Node = field(repr=False)

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.label}: {self.path}" if self.path else self.label

    @property
    def is_null(self) -> bool:
        """Whether it is YAML's null, as in `key:` with nothing behind it."""
        return self._node.tag == f"{_TAG}null"

    @property
    def is_mapping(self) -> bool:
        """Whether it is a mapping."""
        return isinstance(self._node, yaml.MappingNode)

    @property
    def is_sequence(self) -> bool:
        """Whether it is a list."""
        return isinstance(self._node, yaml.SequenceNode)

    def scalar(self) -> Scalar:
        """The value itself.

        Raises:
            ConfigurationError: it is a mapping or a list.
        """
        if not isinstance(self._node, yaml.ScalarNode):
            raise ConfigurationError(f"{self.place} must be a single value")
        written, tag = self._node.value, self._node.tag
        decimal = tag == f"{_TAG}int" and _DECIMAL.fullmatch(written) is not None
        # Only a plain scalar has no style; quotes and blocks have.
        number_to_go = self._node.style is None and _GO_NUMBER.fullmatch(written) is not None
        is_text = tag == f"{_TAG}str" and not number_to_go
        return Scalar(written, is_text=is_text, is_plain=decimal or tag == f"{_TAG}bool")

    def items(self) -> Iterator[Value]:
        """The elements of a list.

        Raises:
            ConfigurationError: it is no list.
        """
        if not isinstance(self._node, yaml.SequenceNode):
            raise ConfigurationError(f"{self.place} must be a list")
        for index, node in enumerate(self._node.value):
            yield Value(self.label, f"{self.path}[{index}]", node)

    def members(self, *, fold_case: bool = True) -> dict[str, Value]:
        """The members of a mapping by name; of null, none.

        Args:
            fold_case: make all names lower case, as the server does.

        Raises:
            ConfigurationError: it is no mapping, or two names differ in their case only.
        """
        if self.is_null:
            return {}
        if not isinstance(self._node, yaml.MappingNode):
            raise ConfigurationError(f"{self.place} must be a mapping (`name: value`)")
        written_as: dict[str, str] = {}
        members: dict[str, Value] = {}
        for key, node in _pairs(self._node, self.place):
            name = key.lower() if fold_case else key
            path = f"{self.path}.{name}" if self.path else name
            if written_as.setdefault(name, key) != key:
                raise ConfigurationError(
                    # Not the name itself: of a file gone wrong it may be anything.
                    f"{self.place} has the same name twice, in different case (line {node.start_mark.line + 1})",
                    hint="The case of names does not matter in this file: keep one of the two.",
                )
            # Of the same name twice, one came with a merge (`<<`) and the later one is the mapping's own.
            members[name] = Value(self.label, path, node)
        return members

    def find(self, path: str) -> Value | None:
        """The value at a dotted path below this one, None when there is none or it is null.

        Raises:
            ConfigurationError: something on the way is no mapping.
        """
        found: Value = self
        for name in path.split("."):
            below = found.members().get(name)
            if below is None or below.is_null:
                return None
            found = below
        return found


def read_document(file: SourceFile) -> Value:
    """Read the configuration file.

    Raises:
        ConfigurationError: it can't be read, is no YAML, has a name twice in one mapping or is no mapping at the top.
            The message has the line and the column, and quotes nothing of the file.
    """
    text = read_text(file)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _not_yaml(file, None if mark is None else (mark.line, mark.column)) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        raise _not_yaml(file, (before.count("\n"), len(before) - before.rfind("\n") - 1)) from None
    except (yaml.YAMLError, RecursionError):
        raise _not_yaml(file, None) from None
    if node is None:
        node = yaml.MappingNode(f"{_TAG}map", [])
    _refuse_duplicates(node, file)
    document = Value(file.label, "", node)
    if not (document.is_mapping or document.is_null):
        raise ConfigurationError(f"{file.label} must be a mapping (`name: value`) at its top")
    return document


def _pairs(node: yaml.MappingNode, place: str) -> Iterator[tuple[str, yaml.Node]]:
    try:
        # Resolves merges (`<<: *base`): the pairs that come with one precede the mapping's own.
        yaml.SafeLoader("").flatten_mapping(node)
    except (yaml.YAMLError, RecursionError):
        raise ConfigurationError(f"{place} has a merge (`<<`) that can't be resolved") from None
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            yield key.value, value


def _refuse_duplicates(root: yaml.Node, file: SourceFile) -> None:
    """Refuse what the server's parser refuses too, in all of the file: one of two lists of keys would be lost."""
    waiting = [root]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        # An alias is the very node that it stands for, and may stand inside itself.
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            names: set[str] = set()
            for key, value in node.value:
                waiting.append(value)
                if not isinstance(key, yaml.ScalarNode):
                    continue
                if key.value in names:
                    raise ConfigurationError(
                        f"{file.label} has the same name twice in one mapping (line {key.start_mark.line + 1})",
                        hint="Keep one of the two.",
                    )
                names.add(key.value)


def _not_yaml(file: SourceFile, position: tuple[int, int] | None) -> ConfigurationError:
    where = "" if position is None else f" at line {position[0] + 1}, column {position[1] + 1}"
    return ConfigurationError(
        f"{file.label} is not valid YAML{where}",
        hint="Look for a tab, a missing quote or a wrong indent there or just before.",
    )
