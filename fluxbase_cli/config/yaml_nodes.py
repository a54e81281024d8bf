"""Composes YAML into nodes, within bounds. Everything that reads a YAML file of the operator begins here.

A few lines with aliases can stand for more values than fit into memory ("billion laughs"). PyYAML composes them
quickly, because an alias is the same object as its anchor; the time is lost by the code that goes through them.
"""

from __future__ import annotations

import yaml

#: So many nodes may be added by aliases. The largest configuration of a server has a few hundred.
_MOST_REPEATED = 20_000


#: Brackets in brackets. PyYAML needs seconds for thousands.
_DEEPEST = 64


class NotYamlError(Exception):
    """The text can't be read as YAML. Nothing of the text is quoted.

    Attributes:
        position: line and column, counted from 0; None if they are not known.
        why: what is wrong, if it is not the form.
    """

    def __init__(self, position: tuple[int, int] | None = None, why: str | None = None) -> None:
        super().__init__(why or "not YAML")
        self.position = position
        self.why = why


def compose(text: str) -> yaml.Node | None:
    """Compose a text into nodes. No value is constructed. None if the text holds no value.

    Raises:
        NotYamlError: it is not YAML, is nested too deeply, or its aliases stand for too many values.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotYamlError(None if mark is None else (mark.line, mark.column)) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        raise NotYamlError((before.count("\n"), len(before) - before.rfind("\n") - 1)) from None
    except (RecursionError, _TooDeepError):
        raise NotYamlError(why="it is nested too deeply") from None
    except (yaml.YAMLError, ValueError):
        raise NotYamlError from None
    if node is not None:
        _refuse_too_many(node)
    return node


class _TooDeepError(Exception):
    """Brackets are nested too deeply."""


class _Loader(yaml.SafeLoader):
    def fetch_flow_collection_start(self, TokenClass: type[yaml.Token]) -> None:  # noqa: N803  # PyYAML's name
        if self.flow_level >= _DEEPEST:
            raise _TooDeepError
        super().fetch_flow_collection_start(TokenClass)


def _refuse_too_many(root: yaml.Node) -> None:
    """Refuse aliases that stand for too many values."""
    sizes: dict[int, int] = {}
    begun: set[int] = set()
    pending = [root]
    while pending:
        node = pending[-1]
        below = _below(node)
        if id(node) in sizes:
            pending.pop()
        elif id(node) in begun:
            pending.pop()
            # What stands for itself is counted once: the code that goes through it stops at its own depth.
            sizes[id(node)] = 1 + sum(sizes.get(id(each), 0) for each in below)
        else:
            begun.add(id(node))
            pending += [each for each in below if id(each) not in begun]
    if sizes[id(root)] > len(sizes) + _MOST_REPEATED:
        raise NotYamlError(why="its aliases (*name) stand for too many values")


def _below(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
