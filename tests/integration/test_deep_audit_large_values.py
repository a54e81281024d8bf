"""Does a deep audit find sealed values inside values of many megabytes, without using more memory?"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.fixtures.deep_audit import found, search
from tests.fixtures.fluxbase import OLD, Fluxbase, seal
from tests.fixtures.plugin import T, put
from tests.fixtures.programs import needs_proc


def test_a_value_of_tens_of_megabytes_is_searched(plugin: Fluxbase) -> None:
    put(plugin, "text", None, columns=", d jsonb, e bytea")
    words = "The customer called at noon. " * 1_400_000
    text = f"{words} {seal(OLD, 'in the midst')} {words[:1_000_000]}"
    document = json.dumps({"a": words[:20_000_000], "b": seal(OLD, "in a document")})
    data = os.urandom(17_000_000) + b" " + seal(OLD, "in bytes").encode()
    plugin.rows(f"UPDATE {T} SET c = %s, d = %s, e = %s WHERE n = 2", text, document, data)
    assert found(search(plugin)) == {f"{T}.c": {1: 1}, f"{T}.d": {1: 1}, f"{T}.e": {1: 1}}


_MEASURED = """
import os
from pathlib import Path
from tests.fixtures.deep_audit import found, search

def peak():
    # The system's other measure also knows the peak of the process that started this one.
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024

before = peak()
findings = search(os.environ["FLUXBASE_TEST_URL"], workers=4)
print(found(findings)["plugin.t.c"][1], peak() - before)
"""


@needs_proc
def test_memory_stays_flat_when_every_row_is_large_and_matches(plugin: Fluxbase) -> None:
    put(plugin, "text", None)
    plugin.rows(
        f"INSERT INTO {T} SELECT n, repeat('a word ', CASE WHEN n < 31 THEN 900000 ELSE 500 END) || %s"
        " FROM generate_series(11, 3010) AS n",
        seal(OLD, "x"),
    )
    # 126 MB in 20 values, and 10 MB in 2,980.
    environment = os.environ | {"FLUXBASE_TEST_URL": plugin.url}
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED], env=environment, check=True, capture_output=True, text=True
    )
    number, megabytes = map(int, done.stdout.split())
    assert number == 3_000
    # Measured: 78 MB, while 136 MB are read.
    assert megabytes < 100


def test_a_sealed_value_of_many_megabytes_is_opened(plugin: Fluxbase) -> None:
    put(plugin, "text", seal(OLD, os.urandom(9_000_000)))
    assert found(search(plugin)) == {f"{T}.c": {1: 1}}
