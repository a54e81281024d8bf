"""A text that never shows itself."""

from __future__ import annotations

from typing import NoReturn

_MASK = "***"


class Secret:
    """A text that `repr`, `str` and `format` show as `***`; only `reveal` hands it over.

    It is no `str`, so that it can't be printed, joined or serialised by accident, and it refuses to be pickled. Two
    secrets are equal when their texts are; a secret is false when its text is empty.

    Args:
        text: what to hide.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return _MASK

    def __str__(self) -> str:
        return _MASK

    def __format__(self, format_spec: str) -> str:
        # A width would tell nothing, but a precision could fail or cut: the mask is the mask.
        return _MASK

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    # Settings are copied (`dataclasses.asdict` does); a secret is immutable, so a copy is itself.
    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        message = "a secret can't be pickled"
        raise TypeError(message)
