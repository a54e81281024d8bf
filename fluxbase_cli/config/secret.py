"""A text that is never shown by accident."""

from __future__ import annotations

from typing import NoReturn

_MASK = "***"


class Secret:
    """A text that `repr`, `str` and `format` show as `***`. Only `reveal` returns it.

    It is not a `str`, so it can't be printed, joined or serialised by accident, and it can't be pickled. Two secrets
    are equal if their texts are equal. A secret is false if its text is empty.

    Args:
        text: the text to hide.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The hidden text."""
        return self._text

    def __repr__(self) -> str:
        return _MASK

    def __str__(self) -> str:
        return _MASK

    def __format__(self, format_spec: str) -> str:
        # The format is ignored: a precision could shorten the mask or raise an error.
        return _MASK

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    # `dataclasses.asdict` copies settings. A secret is immutable, so its copy is the same object.
    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        message = "a secret can't be pickled"
        raise TypeError(message)
