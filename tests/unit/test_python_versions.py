"""What differs between the versions of Python, tried on each of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from fluxbase_cli.cli.app import make_app


def test_the_commands_are_built_also_if_wraps_copies_no_annotations(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Since Python 3.14 it copies the function that evaluates them, and there is none if they were set."""
    copied = tuple(set(functools.WRAPPER_ASSIGNMENTS) - {"__annotations__", "__annotate__"})

    def wraps(function: Callable[..., Any]) -> Callable[..., Any]:
        def decorate(wrapper: Callable[..., Any]) -> Callable[..., Any]:
            annotations = {} if vars(function).get("__signature__") else function.__annotations__
            functools.update_wrapper(wrapper, function, assigned=copied)
            wrapper.__annotations__ = annotations
            return wrapper

        return decorate

    monkeypatch.setattr(functools, "wraps", wraps)

    with pytest.raises(SystemExit) as ended:
        make_app()(["secrets", "re-encrypt", "--help"], prog_name="fluxbase-cli")

    assert ended.value.code == 0
    assert "--from-version" in capsys.readouterr().out
