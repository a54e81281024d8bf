"""Fixtures that every test may use; each stands in a file of its own below `fixtures`."""

import os

import pytest

pytest_plugins = [
    "tests.fixtures.embedded",
    "tests.fixtures.command",
    "tests.fixtures.proxy",
    "tests.fixtures.openbao",
    "tests.fixtures.front",
    "tests.fixtures.standby",
    "tests.fixtures.fluxbase",
    "tests.fixtures.kms",
    "tests.fixtures.webhook",
    "tests.fixtures.rotating",
]


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many workers `-n auto` means: one more than there are processors, since tests wait more than they compute."""
    return (os.cpu_count() or 1) + 1
