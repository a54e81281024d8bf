"""Fixtures for all tests. Each stands in a separate file under `fixtures`.

Programs that the tests start must receive the signals that are sent to them, also when the suite runs in the background
of a script: the shell of such a script ignores SIGINT and SIGQUIT.
"""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine must not fail a test.
settings.register_profile("fluxbase", deadline=None)
settings.load_profile("fluxbase")

for _number, _default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)

# Failed assertions in fixtures show their values too, as in a test.
pytest.register_assert_rewrite("tests.fixtures")

pytest_plugins = [
    "tests.fixtures.embedded",
    "tests.fixtures.command",
    "tests.fixtures.proxy",
    "tests.fixtures.pooled",
    "tests.fixtures.openbao",
    "tests.fixtures.transit",
    "tests.fixtures.front",
    "tests.fixtures.standby",
    "tests.fixtures.fluxbase",
    "tests.fixtures.security_database",
    "tests.fixtures.further",
    "tests.fixtures.kms",
    "tests.fixtures.aws",
    "tests.fixtures.aws_secrets",
    "tests.fixtures.webhook",
    "tests.fixtures.collector",
    "tests.fixtures.rotating",
    "tests.fixtures.served",
    "tests.fixtures.deployed",
    "tests.fixtures.clocks",
    "tests.fixtures.fleet",
    "tests.fixtures.plugin",
    "tests.fixtures.reporting",
    "tests.fixtures.browser",
    "tests.fixtures.envelopes",
    "tests.fixtures.planning",
]

#: Tests that take long. `.ci/run` runs them; the README's command leaves them out (see the markers in pyproject.toml).
_SLOW = (
    "faults/",
    # Each of these starts the command as a process, often many times.
    "acceptance/",
    "integration/test_complete_over_time.py",
    "integration/test_database_encodings.py",
    "integration/test_damaged_rows.py",
    "integration/test_databases.py",
    "integration/test_deep_audit_",
    "integration/test_destroy_looks_again.py",
    "integration/test_documents_beside_text.py",
    "integration/test_embedded_server.py",
    "integration/test_estimate",
    "integration/test_few_connections.py",
    "integration/test_former_fingerprints.py",
    "integration/test_half_proofs_of_rotations.py",
    "integration/test_key_source_stories.py",
    "integration/test_daemon_metrics.py",
    "integration/test_legacy_plaintext.py",
    "integration/test_pinned_keys.py",
    "integration/test_manual_notifications.py",
    "integration/test_obstacles.py",
    "integration/test_plan",
    "integration/test_reencrypt_nothing_else.py",
    "integration/test_reencrypt_resisted.py",
    "integration/test_rows_that_resist.py",
    "integration/test_report_of_",
    "integration/test_restored_jobs.py",
    "integration/test_rotation_by_hand.py",
    "integration/test_rotation_steps.py",
    "integration/test_secrets_list.py",
    "integration/test_seed.py",
    "integration/test_server_log.py",
    "integration/test_stopped_jobs.py",
    "integration/test_stopped_rotations.py",
    "integration/test_triggers_in_mid_job.py",
)
_NOT_SLOW = ("acceptance/test_start_up.py",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that take long, by their file."""
    for item in items:
        path = item.path.relative_to(Path(__file__).parent).as_posix()
        if path.startswith(_SLOW) and not path.startswith(_NOT_SLOW):
            item.add_marker(pytest.mark.slow)
