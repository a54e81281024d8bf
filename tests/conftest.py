"""Fixtures that every test may use; each stands in a file of its own below `fixtures`."""

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
    "tests.fixtures.webhook",
    "tests.fixtures.rotating",
    "tests.fixtures.clocks",
    "tests.fixtures.fleet",
]
