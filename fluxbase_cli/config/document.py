"""The YAML file as a tree of values. Each value knows where in the file it is.

Only the settings that we need are read from the tree, so an error in another section of the server can't stop us.
PyYAML only composes the nodes. It constructs no values, because it would change an unquoted `0123` or `12e34`. Its
error texts quote the file, so they are never shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from fluxbase_cli.config.files import read_text
from fluxbase_cli.config.yaml_nodes import NotYamlError, compose
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxbase_cli.config.files import SourceFile

_TAG = "tag:yaml.org,2002:"
#: Only such numbers mean the same to every parser. `0123`, `1_000` and `0x1F` differ between parsers.
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,17}")
#: PyYAML follows YAML 1.1 and reads these as text. The server's parser reads them as numbers: YAML 1.2 has floats
#: without a dot, and octal numbers with `0o`.
_GO_NUMBER = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+|0o[0-7]+")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value.

    Attributes:
        written: the text in the file, without quotes.
        is_text: whether YAML reads it as text. With quotes, every value is text.
        is_plain: whether it is a boolean, or a whole number that means the same to every parser.
    """

    written: str = field(repr=False)
    is_text: bool
    is_plain: bool


@dataclass(frozen=True, slots=True)
class Value:
    """A node of the tree.

    Attributes:
        label: the name of the file in messages.
        path: the dotted path from the top of the file, in lower case.
    """

    label: str
    path: str
    _node: yaml.Node = field(repr=False)

    @property
    def place(self) -> str:
        """Where the value is, for messages."""
        return f"{self.label}: {self.path}" if self.path else self.label

    @property
    def line(self) -> int:
        """The line of the file on which the value begins, from 1."""
        return int(self._node.start_mark.line) + 1

    @property
    def is_null(self) -> bool:
        """Whether it is YAML's null, as in `key:` with nothing after it."""
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
        """The single value.

        Raises:
            ConfigurationError: the value is a mapping or a list.
        """
        if not isinstance(self._node, yaml.ScalarNode):
            raise ConfigurationError(
                f"{self.place} must be a single value", hint="Write it on the same line, as in `name: value`."
            )
        written, tag = self._node.value, self._node.tag
        decimal = tag == f"{_TAG}int" and _DECIMAL.fullmatch(written) is not None
        # Only an unquoted scalar has no style. Quoted and block scalars have one.
        number_to_go = self._node.style is None and _GO_NUMBER.fullmatch(written) is not None
        is_text = tag == f"{_TAG}str" and not number_to_go
        return Scalar(written, is_text=is_text, is_plain=decimal or tag == f"{_TAG}bool")

    def items(self) -> Iterator[Value]:
        """The elements of a list.

        Raises:
            ConfigurationError: the value is not a list.
        """
        if not isinstance(self._node, yaml.SequenceNode):
            raise ConfigurationError(f"{self.place} must be a list", hint="Begin each of its entries with `- `.")
        for index, node in enumerate(self._node.value):
            yield Value(self.label, f"{self.path}[{index}]", node)

    def members(self, *, fold_case: bool = True) -> dict[str, Value]:
        """The members of a mapping by name. Null has no members.

        Args:
            fold_case: make all names lower case, as the server does.

        Raises:
            ConfigurationError: the value is not a mapping, or two names differ only in case.
        """
        if self.is_null:
            return {}
        if not isinstance(self._node, yaml.MappingNode):
            raise ConfigurationError(
                f"{self.place} must be a mapping (`name: value`)",
                hint="Write each of its settings on its own line, indented, as in `name: value`.",
            )
        written_as: dict[str, str] = {}
        members: dict[str, Value] = {}
        for key, node in _pairs(self._node, self.place):
            name = key.lower() if fold_case else key
            path = f"{self.path}.{name}" if self.path else name
            if written_as.setdefault(name, key) != key:
                raise ConfigurationError(
                    # The name is not quoted: in a wrong file it could be a secret.
                    f"{self.place} has the same name twice, in different case (line {node.start_mark.line + 1})",
                    hint="The case of names does not matter in this file: keep one of the two.",
                )
            # If a name comes twice, the first is from a merge (`<<`). The later one is in the mapping itself and wins.
            members[name] = Value(self.label, path, node)
        return members

    def find(self, path: str) -> Value | None:
        """The value at a dotted path below this one. None if there is no such value, or it is null.

        Raises:
            ConfigurationError: a value on the path is not a mapping.
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
        ConfigurationError: the file can't be read, is not YAML, has a name twice in one mapping, or has no mapping at
            the top. The message has the line and the column, and quotes nothing of the file.
    """
    try:
        node = compose(read_text(file))
    except NotYamlError as error:
        raise _not_yaml(file, error) from None
    if node is None:
        node = yaml.MappingNode(f"{_TAG}map", [])
    _refuse_duplicates(node, file)
    document = Value(file.label, "", node)
    if not (document.is_mapping or document.is_null):
        raise ConfigurationError(
            f"{file.label} must be a mapping (`name: value`) at its top",
            hint="Check that this is the right file. Write each of its settings as in `name: value`.",
        )
    return document


def _pairs(node: yaml.MappingNode, place: str) -> Iterator[tuple[str, yaml.Node]]:
    try:
        # Resolves merges (`<<: *base`). The merged pairs come before the pairs of the mapping itself.
        yaml.SafeLoader("").flatten_mapping(node)
    except (yaml.YAMLError, RecursionError):
        raise ConfigurationError(
            f"{place} has a merge (`<<`) that can't be resolved",
            hint="Write the values themselves in place of the merge.",
        ) from None
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            yield key.value, value


def _refuse_duplicates(root: yaml.Node, file: SourceFile) -> None:
    """Refuse a name that is twice in one mapping, anywhere in the file.

    The server's parser refuses it too. Otherwise one of two lists of keys would be lost.
    """
    pending = [root]
    seen: set[int] = set()
    while pending:
        node = pending.pop()
        # An alias is the same node object as its anchor.
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            names: set[str] = set()
            for key, value in node.value:
                pending.append(value)
                if not isinstance(key, yaml.ScalarNode):
                    continue
                if key.value in names:
                    raise ConfigurationError(
                        f"{file.label} has the same name twice in one mapping (line {key.start_mark.line + 1})",
                        hint="Keep one of the two.",
                    )
                names.add(key.value)


def _not_yaml(file: SourceFile, error: NotYamlError) -> ConfigurationError:
    position = error.position
    where = "" if position is None else f" at line {position[0] + 1}, column {position[1] + 1}"
    if error.why is not None:
        return ConfigurationError(
            f"{file.label} is not valid YAML: {error.why}{where}",
            hint="Use fewer levels, and write the values themselves in place of aliases (`*name`).",
        )
    return ConfigurationError(
        f"{file.label} is not valid YAML{where}",
        hint="Look for a tab, a missing quote or a wrong indent there or just before.",
    )
