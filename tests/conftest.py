"""Fixtures that every test may use; each stands in a file of its own below `fixtures`.

What the tests start must get the signals that it is sent, also where the suite runs in the background of a script: its
shell has SIGINT and SIGQUIT ignored.
"""

import signal
from pathlib import Path

import pytest

for _number, _default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)

# What helpers assert is told with its values too, as it is in a test.
pytest.register_assert_rewrite("tests.fixtures")

pytest_plugins = [
    "tests.fixtures.embedded",
    "tests.fixtures.command",
    "tests.fixtures.proxy",
    "tests.fixtures.openbao",
    "tests.fixtures.front",
    "tests.fixtures.standby",
    "tests.fixtures.fluxbase",
    "tests.fixtures.further",
    "tests.fixtures.kms",
    "tests.fixtures.aws",
    "tests.fixtures.webhook",
    "tests.fixtures.rotating",
    "tests.fixtures.clocks",
    "tests.fixtures.fleet",
    "tests.fixtures.plugin",
]

#: What takes long. `.ci/run` runs it; the README's command leaves it out (see the markers in pyproject.toml).
_SLOW = (
    "faults/",
    # Each of these starts the command as a process, often many times.
    "acceptance/",
    "integration/test_databases.py",
    "integration/test_deep_audit_",
    "integration/test_embedded_server.py",
)
_NOT_SLOW = (
    "acceptance/test_closing_lines.py",
    "acceptance/test_options.py",
    "acceptance/test_start_up.py",
    "acceptance/test_structured_output.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long, by its file."""
    for item in items:
        path = item.path.relative_to(Path(__file__).parent).as_posix()
        if path.startswith(_SLOW) and not path.startswith(_NOT_SLOW):
            item.add_marker(pytest.mark.slow)
