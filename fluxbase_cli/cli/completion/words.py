"""Which words can follow on a command line: commands, options, and the values of options."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fluxbase_cli.cli.exit_codes import HELP_TOPICS
from fluxbase_cli.cli.options import LIST_OUTPUTS, file_path

#: A word that can follow, and what it means.
Word = tuple[str, str]
#: The values of an option or an argument, found outside the program. It gets the options that were given before.
Values = Callable[[Mapping[str, str]], Sequence[Word]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What can follow.

    Attributes:
        words: the words that fit what is there already.
        files: whether a file's name can follow instead.
    """

    words: tuple[Word, ...] = ()
    files: bool = False


@dataclass(slots=True)
class _Line:
    """The words before the one that is completed, as far as they were read.

    Attributes:
        command: the command, or the group.
        path: its words.
        options: the values of options that were given, by their names.
        seen: all names of the options that were given.
        arguments: how many arguments the command has.
        waiting: the option whose value comes next.
        only_arguments: whether `--` was given.
    """

    command: Any
    path: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    arguments: int = 0
    waiting: Any = None
    only_arguments: bool = False


def complete(root: Any, shell: str, words: Sequence[str], values: Mapping[str, Values]) -> Answer:  # noqa: ANN401  # of a library whose types are private
    """Find what can follow.

    Args:
        root: the command of the program, as the library for command lines made it.
        shell: `bash`, `zsh` or `fish`.
        words: what follows the program's name; the last word is the one that is completed.
        values: finds values by the name of an option, such as `--key-version`, or the metavar of an argument; also by
            the command with the option, as `secrets list --columns`.
    """
    *before, current = _joined(words, shell) or [""]
    if before[:1] == ["help"]:
        topics = HELP_TOPICS if len(before) == 1 else ()
        # What follows is the name of a command too.
        named = complete(root, shell, [*before[1:], current], values)
        return Answer((*named.words, *_starting(current, topics).words), named.files)
    line = _Line(root)
    for word in before:
        _read(line, word)
    if line.waiting is not None:
        return _values(line, line.waiting, current, values)
    if current.startswith("-") and not line.only_arguments:
        return _option_with_value(line, shell, current, values)
    argument = _argument(line)
    found = Answer() if argument is None else _values(line, argument, current, values)
    commands = _commands(line.command)
    if commands is None or line.arguments:
        return found
    named = _starting(current, ((name, _first_line(each)) for name, each in commands.items()))
    return Answer((*named.words, *found.words), found.files)


def _option_with_value(line: _Line, shell: str, current: str, values: Mapping[str, Values]) -> Answer:
    """What fits `--databases` or `--databases=ten`."""
    name, equals, begun = current.partition("=")
    if not equals:
        return Answer(tuple(_options(line, current)))
    option = _option(line.command, name)
    if option is None or option.is_flag:
        return Answer()
    # bash completes only what follows the sign.
    return _values(line, option, begun, values, prefix="" if shell == "bash" else f"{name}=")


def _joined(words: Sequence[str], shell: str) -> list[str]:
    """The words without quotation marks. bash makes three words of `--config=file`."""
    if shell != "bash":
        return list(words)
    joined: list[str] = []
    for word in map(_unquoted, words):
        if word == "=" and joined and joined[-1].startswith("--"):
            joined[-1] += "="
        elif joined and joined[-1].startswith("--") and joined[-1].endswith("="):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _unquoted(word: str) -> str:
    with contextlib.suppress(ValueError):
        return " ".join(shlex.split(word))
    # A quotation mark is still open.
    return word.lstrip("'\"")


def _read(line: _Line, word: str) -> None:
    if line.waiting is not None:
        line.options[max(line.waiting.opts, key=len)] = word
        line.waiting = None
    elif line.only_arguments or not word.startswith("-") or word == "-":
        command = (_commands(line.command) or {}).get(word)
        if command is None:
            line.arguments += 1
        else:
            line.command = command
            line.path.append(word)
    elif word == "--":
        line.only_arguments = True
    else:
        name, equals, value = word.partition("=")
        option = _option(line.command, name)
        if option is None:
            return
        line.seen.update(option.opts)
        if equals:
            line.options[max(option.opts, key=len)] = value
        elif not option.is_flag and not getattr(option, "count", False):
            line.waiting = option


def _commands(command: Any) -> Mapping[str, Any] | None:  # noqa: ANN401  # as `complete`
    found = getattr(command, "commands", None)
    return None if found is None else {name: each for name, each in found.items() if not each.hidden}


def _params(command: Any, kind: str) -> list[Any]:  # noqa: ANN401  # as `complete`
    # A command that has a subcommand too is a group whose default command reads the words.
    default = getattr(command, "default_command", None)
    known = {each.name: each for each in (*command.params, *(() if default is None else default.params))}
    return [each for each in known.values() if each.param_type_name == kind and not getattr(each, "hidden", False)]


def _option(command: Any, name: str) -> Any:  # noqa: ANN401  # as `complete`
    options = _params(command, "option")
    return next((each for each in options if name in (*each.opts, *each.secondary_opts)), None)


def _options(line: _Line, current: str) -> Iterator[Word]:
    for option in _params(line.command, "option"):
        if line.seen.intersection(option.opts) and not getattr(option, "multiple", False):
            continue
        for name in (*option.opts, *option.secondary_opts):
            # Short names are shown only if nobody has begun a long one.
            if name.startswith(current) and (name.startswith("--") or current == "-"):
                yield name, _first_line(option)
    for name in ("--help",):
        if name.startswith(current):
            yield name, "Show this message and exit."


def _argument(line: _Line) -> Any:  # noqa: ANN401  # as `complete`
    arguments = _params(line.command, "argument")
    if line.arguments < len(arguments):
        return arguments[line.arguments]
    return arguments[-1] if arguments and arguments[-1].nargs == -1 else None


def _values(line: _Line, param: Any, current: str, values: Mapping[str, Values], *, prefix: str = "") -> Answer:  # noqa: ANN401  # as `complete`
    choices = _choices(line, param)
    if choices:
        return _starting(current, ((each, "") for each in choices), prefix=prefix)
    source = next((values[name] for name in _sources(line, param) if name in values), None)
    if source is not None:
        # Several names of columns are separated by commas. The last one is completed.
        before, comma, last = current.rpartition(",") if "--columns" in param.opts else ("", "", current)
        # The configuration or the database may say nothing. The person who types must not be disturbed by that.
        with contextlib.suppress(Exception):
            found = [(word, text) for word, text in source(line.options) if word not in before.split(",")]
            return _starting(last, found, prefix=f"{prefix}{before}{comma}")
        return Answer()
    return Answer(files=getattr(param.type, "func", None) is file_path)


def _sources(line: _Line, param: Any) -> Iterator[str]:  # noqa: ANN401  # as `complete`
    """The names under which the values of an option or an argument may be found, the most exact one first."""
    command = " ".join(line.path)
    if "--fleet" in line.seen:
        yield from (f"{command} --fleet {name}" for name in param.opts)
    elif line.arguments:
        yield from (f"{command} ARGUMENT {name}" for name in param.opts)
    yield from (f"{command} {name}" for name in param.opts)
    yield from param.opts
    yield str(param.metavar or "").strip("[].")


def _choices(line: _Line, param: Any) -> list[str]:  # noqa: ANN401  # as `complete`
    choices = [str(getattr(each, "value", each)) for each in getattr(param.type, "choices", ())]
    # A command may take fewer forms of output than the type has. Its metavar lists them.
    listed = str(param.metavar or "").strip("[]").split("|")
    if "--fleet" in line.seen and "--output" in param.opts:
        listed += LIST_OUTPUTS
    return [each for each in choices if each in listed] or choices


def _starting(current: str, words: Sequence[Word] | Iterator[Word], *, prefix: str = "") -> Answer:
    return Answer(tuple((prefix + word, text) for word, text in words if word.startswith(current)))


def _first_line(thing: Any) -> str:  # noqa: ANN401  # as `complete`
    """The first sentence of a help text."""
    text = " ".join((thing.help or "").split("\n\n")[0].split())
    return text.partition(". ")[0].rstrip(".")
