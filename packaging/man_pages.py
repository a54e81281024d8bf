"""Writes the manual pages, from the same texts as --help: `python packaging/man_pages.py FOLDER`.

Nothing in them depends on when or where they are made.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_CODE = re.compile(r"`([^`]*)`")
_PROGRAM = "fluxbase-cli"


def pages() -> Mapping[str, str]:
    """All pages, by the names of their files."""
    from typer.main import get_command  # noqa: PLC0415  # only there when pages are made

    from fluxbase_cli.cli.app import make_app  # noqa: PLC0415

    root = get_command(make_app())
    return {f"{'-'.join(path)}.1": _page(path, command, root) for path, command in _walk((_PROGRAM,), root)}


def write_to(folder: Path) -> list[Path]:
    """Write all pages into a folder, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in pages().items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _walk(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401  # of a library whose types are private
    yield path, command
    for name, each in sorted(getattr(command, "commands", {}).items()):
        if not each.hidden:
            yield from _walk((*path, name), each)


def _page(path: tuple[str, ...], command: Any, root: Any) -> str:  # noqa: ANN401  # as `_walk`
    from fluxbase_cli import __version__  # noqa: PLC0415  # as in `pages`
    from fluxbase_cli.cli.exit_codes import CHECKS, EXIT_CODES  # noqa: PLC0415

    name = "-".join(path)
    # A command that has a subcommand too is a group whose default command has the options.
    runs = getattr(command, "default_command", command)
    own, common = _options(runs, root if command is not root else None)
    lines = [
        # No date: the same source must make the same page.
        f'.TH {name.upper()} 1 "" "{_PROGRAM} {__version__}" "fluxbase-cli manual"',
        ".SH NAME",
        f"{_text(name)} \\- {_text(_summary(command))}",
        ".SH SYNOPSIS",
        f".B {_text(' '.join(path))}",
        _text(" ".join(_usage(runs))),
        ".SH DESCRIPTION",
        *_paragraphs(runs.help or ""),
    ]
    commands = {each: found for each, found in sorted(getattr(command, "commands", {}).items()) if not found.hidden}
    if commands:
        lines.append(".SH COMMANDS")
        for each, found in commands.items():
            lines += [".TP", f".BR {_text('-'.join((*path, each)))} (1)", _text(_summary(found))]
    if own:
        lines += [".SH OPTIONS", *own]
    if common:
        lines += [".SH COMMON OPTIONS", *common]
    examples = _examples(runs.epilog or "")
    if examples:
        lines += [".SH EXAMPLES", ".nf", ".RS 4", *map(_text, examples), ".RE", ".fi"]
    lines.append(".SH EXIT STATUS")
    for code, meaning in EXIT_CODES:
        lines += [".TP", f".B {code}", _text(meaning)]
    lines += [".PP", _text(CHECKS)]
    also = [path[:-1]] if len(path) > 1 else [(_PROGRAM, each) for each in commands]
    lines += [".SH SEE ALSO", ",\n".join(f".BR {_text('-'.join(each))} (1)" for each in also)]
    return "\n".join(lines).replace(",\n.BR", " ,\n.BR") + "\n"


def _options(command: Any, root: Any) -> tuple[list[str], list[str]]:  # noqa: ANN401  # as `_walk`
    """The lines about the options of a command, and about those that all commands have."""
    shared = set() if root is None else {tuple(each.opts) for each in root.params}
    own: list[str] = []
    common: list[str] = []
    for param in command.params:
        if param.param_type_name != "option" or getattr(param, "hidden", False):
            continue
        (common if tuple(param.opts) in shared else own).extend(_option(param))
    return own, common


def _option(param: Any) -> list[str]:  # noqa: ANN401  # as `_walk`
    names = ", ".join(f"\\fB{_text(each)}\\fR" for each in (*param.opts, *param.secondary_opts))
    value = ""
    if not param.is_flag:
        choices = [str(getattr(each, "value", each)) for each in getattr(param.type, "choices", ())]
        value = " \\fI" + _text(param.metavar or "|".join(choices) or "TEXT") + "\\fR"
    return [".TP", names + value, _text(" ".join((param.help or "").split())) or "No description."]


def _usage(command: Any) -> list[str]:  # noqa: ANN401  # as `_walk`
    words = ["[OPTIONS]"]
    if hasattr(command, "commands"):
        return [*words, "COMMAND [ARGS]..."]
    arguments = (each for each in command.params if each.param_type_name == "argument")
    return [*words, *(str(each.metavar or each.name.upper()) for each in arguments)]


def _summary(command: Any) -> str:  # noqa: ANN401  # as `_walk`
    """The first sentence of a help text, without its end."""
    first = " ".join((command.help or "").replace("\b", "").split("\n\n")[0].split())
    return first.rstrip(".")


def _paragraphs(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in text.replace("\b\n", "").strip().split("\n\n"):
        if lines:
            lines.append(".PP")
        lines.append(_text(" ".join(paragraph.split())))
    return lines


def _examples(epilog: str) -> list[str]:
    """The lines below `Examples:`."""
    lines = epilog.replace("\b\n", "").strip("\n").split("\n")
    # A line that continues another one stays further to the right.
    return [line.removeprefix("  ").rstrip() for line in lines if line.strip() and not line.startswith("Example")]


def _text(text: str) -> str:
    """A text as roff reads it."""
    text = (
        text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("^", "\\(ha").replace("~", "\\(ti")
    )
    text = text.replace("…", "...")
    text = _CODE.sub(r"\\fB\1\\fR", text).replace("`", "\\(ga")
    # A line that begins with a dot or an apostrophe would be a request.
    return f"\\&{text}" if text.startswith(".") else text


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    write_to(Path(sys.argv[1]))
