"""Fixtures for all tests. Each stands in a separate file under `fixtures`.

Programs that the tests start must receive the signals that are sent to them, also when the suite runs in the background
of a script: the shell of such a script ignores SIGINT and SIGQUIT.
"""

import signal
from pathlib import Path

import pytest

for _number, _default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)

# Failed assertions in fixtures show their values too, as in a test.
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

#: Tests that take long. `.ci/run` runs them; the README's command leaves them out (see the markers in pyproject.toml).
_SLOW = (
    "faults/",
    "acceptance/test_demo_and_examples.py",
    "acceptance/test_fleet_",
    "acceptance/test_jobs_against_destroy.py",
    "acceptance/test_proof.py",
    "acceptance/test_release_stories.py",
    "acceptance/test_rotation_examples.py",
    "acceptance/test_rotation_year.py",
    "acceptance/test_wrong_clocks.py",
    "integration/test_databases.py",
    "integration/test_deep_audit_",
    "integration/test_embedded_server.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that take long, by their file."""
    for item in items:
        if item.path.relative_to(Path(__file__).parent).as_posix().startswith(_SLOW):
            item.add_marker(pytest.mark.slow)
