"""The output on the pages for operators is what the commands print: `make runbook` writes it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runbook.regenerate import difference, pages

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_the_output_on_the_page_is_what_is_printed(page: Path) -> None:
    changed = difference(page)

    assert not changed, "\n".join(changed)
