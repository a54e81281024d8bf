"""Changes variables in a `.env` file, or in another file of lines `NAME=value`, and leaves everything else as it is.

Docker Compose, systemd and the server itself read such files. They differ in what they do with quotes and with `$`. So
a value is written without quotes if it consists of characters that mean the same to all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fluxbase_cli.config.environment import Statement, UnreadableLineError, statements_of
from fluxbase_cli.config.files import read_bytes
from fluxbase_cli.config.replace_file import replace_file
from fluxbase_cli.errors import ConfigurationError

#: Characters that every reader of such a file takes as they are.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
_VALUE = re.compile(r"""(?P<lead>\s*(?:export[^\S\r\n]+)?[^=\s]+\s*=[^\S\r\n]*)(?P<quote>['"]?)""")
_BYTE_ORDER_MARK = "\ufeff"
_UNQUOTED_END = re.compile(r"[^\S\r\n]+#|[^\S\r\n]*(?:\r?\n|\Z)")


class CantChangeError(Exception):
    """The file can't be changed. The text says why, and quotes nothing of the file."""


def read_variables(path: Path) -> dict[str, str]:
    """The variables of a file. If one is set twice, the last value counts, as for all readers of such files.

    Raises:
        CantChangeError: the file can't be read, or has a line that can't be understood.
    """
    return _values(_text(path))


def change_variables(path: Path, changes: Mapping[str, str | None], *, after: str | None = None) -> None:
    """Set and remove variables in a file, atomically. Mode, owner, order, comments and line ends stay.

    Args:
        path: the file.
        changes: the new values by name; None removes the variable.
        after: new variables are written after the line of this one; None means at the end.

    Raises:
        CantChangeError: the file can't be read or written, or a value can't be written so that every reader of such
            files takes it as it is.
    """
    text = _text(path)
    changed = changed_text(text, changes, after=after)
    if changed == text:
        return
    try:
        replace_file(path, text.encode("utf-8"), changed.encode("utf-8"), None)
    except OSError as error:
        raise CantChangeError(error.strerror or type(error).__name__) from None


def changed_text(text: str, changes: Mapping[str, str | None], *, after: str | None = None) -> str:
    """The text of a file with some variables changed (see `change_variables`).

    Raises:
        CantChangeError: as for `change_variables`.
    """
    expected = {**_values(text), **{name: value for name, value in changes.items() if value is not None}}
    expected = {name: value for name, value in expected.items() if changes.get(name, value) is not None}
    parts: list[str] = []
    found: set[str] = set()
    position, prefix = None, ""
    for each in _statements(text):
        name, written = each.name, each.text
        if name is not None and name in changes:
            value = changes[name]
            found.add(name)
            written = _blank_lead(written) if value is None else _with_value(written, value)
        parts.append(written)
        if name is not None and name == after:
            position = len(parts)
            prefix = "export " if re.match(r"\s*export\s", written) else ""
    line_end = "\r\n" if "\r\n" in text else "\n"
    new = [
        f"{prefix}{name}={_quoted(value)}{line_end}"
        for name, value in changes.items()
        if value is not None and name not in found
    ]
    if new:
        position = len(parts) if position is None else position
        before = "".join(parts[:position])
        lead = "" if not before or before.endswith("\n") else line_end
        parts = [before, lead, *new, *parts[position:]]
    changed = "".join(parts)
    if _values(changed) != expected:
        raise CantChangeError(
            "it is written in a way that can't be changed safely: write each variable as NAME=value on one line"
        )
    return changed


def _text(path: Path) -> str:
    try:
        return read_bytes(path).decode("utf-8")
    except OSError as error:
        raise CantChangeError(error.strerror or type(error).__name__) from None
    except UnicodeDecodeError:
        raise CantChangeError("it is not UTF-8") from None


def _values(text: str) -> dict[str, str]:
    return {each.name: each.value for each in _statements(text) if each.name is not None and each.value is not None}


def _statements(text: str) -> Iterator[Statement]:
    # Some editors write a byte order mark. It is not a part of the first name, and it stays.
    body = text.removeprefix(_BYTE_ORDER_MARK)
    if body != text:
        yield Statement(None, None, _BYTE_ORDER_MARK, 1)
    try:
        yield from statements_of(body)
    except UnreadableLineError as error:
        raise CantChangeError(f"line {error.line} can't be understood") from None


def _with_value(written: str, value: str) -> str:
    """A line with another value. Quotes and a comment after the value stay."""
    match = _VALUE.match(written)
    if match is None:
        raise CantChangeError(
            "it is written in a way that can't be changed safely: write each variable as NAME=value on one line"
        )
    rest = written[match.end() :]
    quote = match["quote"]
    if quote:
        end = rest.find(quote)
        if end < 0:
            raise CantChangeError(
                "it is written in a way that can't be changed safely: write each variable as NAME=value on one line"
            )
        tail = rest[end + 1 :]
        inner = value if _PLAIN.fullmatch(value) else None
        return match["lead"] + (f"{quote}{inner}{quote}" if inner is not None else _quoted(value)) + tail
    end_of_value = _UNQUOTED_END.search(rest)
    tail = "" if end_of_value is None else rest[end_of_value.start() :]
    return match["lead"] + _quoted(value) + tail


def _blank_lead(written: str) -> str:
    """What stays of a line that is removed: the empty lines before it, which belong to it for the parser."""
    return written[: len(written) - len(written.lstrip())]


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    if "'" in value or not value.isprintable():
        raise CantChangeError("the key has characters that not every reader of such a file takes as they are")
    return f"'{value}'"


def refuse(path: Path, error: CantChangeError, hint: str) -> ConfigurationError:
    """The error for the operator."""
    return ConfigurationError(f"{path} can't be changed: {error}", hint=hint)
