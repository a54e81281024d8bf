"""Plain tables of at most 80 columns, in which no word is cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from fluxbase_cli.printable import printable

#: The width of a terminal that nobody has made wider. Tables have it in a pipe too, so they are the same everywhere.
WIDTH = 80
_GAP = "  "
_WIDTH_OF_GAP = len(_GAP)
#: A last column of sentences gets at least so much room beside the others.
_ROOM_FOR_SENTENCES = 30


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = (), split: bool = True
) -> Iterator[str]:
    """Plain aligned columns. They are the same on a terminal and in a pipe, so `grep` and `awk` work with them.

    Columns that do not fit beside the others follow in a second table, which begins with the first column again. A row
    stays one line, with two exceptions. Sentences in the last column continue on the next line. And a first cell that
    leaves no room for the second column has a line of its own.

    Args:
        header: the names of the columns.
        rows: the cells.
        right: the indexes of the columns that are aligned to the right.
        split: whether the table may be split. Otherwise it is as wide as it must be.
    """
    # The widths are those of the text that is printed.
    written = [tuple(header), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(line[index]) for line in written) for index in range(len(header))]
    if not split:
        for line in written:
            yield _joined(line, widths, range(len(widths)), right)
        return
    for number, columns in enumerate(_parts(widths, written)):
        if number:
            yield ""
        yield from _part([tuple(line[index] for index in columns) for line in written], widths, columns, right)


def fits(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    """Whether all columns fit beside each other."""
    written = [tuple(header), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(line[index]) for line in written) for index in range(len(header))]
    return sum(widths) + _WIDTH_OF_GAP * (len(widths) - 1) <= WIDTH


def _parts(widths: Sequence[int], written: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """The columns of each table. Each begins with the first column."""
    columns = [0]
    for index in range(1, len(widths)):
        used = sum(min(widths[each], WIDTH // 2) + _WIDTH_OF_GAP for each in columns)
        last_of_sentences = index == len(widths) - 1 and any(" " in line[index] for line in written[1:])
        needed = min(widths[index], _ROOM_FOR_SENTENCES) if last_of_sentences else widths[index]
        if len(columns) > 1 and used + needed > WIDTH:
            yield columns
            columns = [0]
        columns.append(index)
    yield columns


def _part(
    lines: Sequence[Sequence[str]], all_widths: Sequence[int], columns: Sequence[int], right: Sequence[int]
) -> Iterator[str]:
    others = [all_widths[index] for index in columns[1:]]
    sentences = bool(others) and columns[-1] not in right and any(" " in line[-1] for line in lines[1:])
    if sentences:
        others[-1] = min(others[-1], _ROOM_FOR_SENTENCES)
    room = WIDTH - sum(width + _WIDTH_OF_GAP for width in others)
    first = max((len(line[0]) for line in lines if len(line[0]) <= room), default=0)
    if sentences:
        others[-1] = WIDTH - first - sum(width + _WIDTH_OF_GAP for width in others[:-1]) - _WIDTH_OF_GAP
    widths = [first, *others]
    for line in lines:
        cells = list(line)
        if len(cells[0]) > first:
            yield cells[0]
            cells[0] = ""
        continued = _wrapped(cells[-1], widths[-1]) if sentences else [cells[-1]]
        cells[-1] = continued[0]
        yield _joined(cells, widths, columns, right)
        for more in continued[1:]:
            yield _joined([*("" for _ in cells[1:]), more], widths, columns, right)


def _wrapped(text: str, width: int) -> list[str]:
    return wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _joined(cells: Sequence[str], widths: Sequence[int], columns: Sequence[int], right: Sequence[int]) -> str:
    return _GAP.join(
        cell.rjust(width) if column in right else cell.ljust(width)
        for cell, width, column in zip(cells, widths, columns, strict=True)
    ).rstrip()


def paragraph(text: str, indent: str = "", hanging: str | None = None, width: int = WIDTH) -> Iterator[str]:
    """A text in lines of at most 80 columns. A command in backticks, and any long word, stays whole.

    Args:
        text: the text. Its control characters are escaped.
        indent: what stands before the first line.
        hanging: what stands before the others; the same when None.
        width: another width, in columns.
    """
    shown = printable(text)
    # A space that ends no line: the words of a command stay together.
    parts = shown.split("`")
    for index in range(1, len(parts) - 1, 2):
        if len(parts[index]) + len(hanging if hanging is not None else indent) + _WIDTH_OF_GAP <= width:
            parts[index] = parts[index].replace(" ", _KEPT)
    kept = "`".join(parts)
    for line in wrap(
        kept,
        width,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [indent.rstrip()]:
        yield line.replace(_KEPT, " ")


#: Stands for a space while a text is wrapped. `printable` lets no text have it.
_KEPT = "\x00"
