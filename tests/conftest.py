"""Fixtures that every test may use; each stands in a file of its own below `fixtures`.

What the tests start must get the signals that it is sent, also where the suite runs in the background of a script: its
shell has SIGINT and SIGQUIT ignored.
"""

import signal

for _number, _default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)

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
