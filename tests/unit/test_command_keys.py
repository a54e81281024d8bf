"""The provider `command`: the key is read or one line says why not, and nothing is told."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fluxbase_cli.config import EncryptionSettings, KeyEntry, Secret, ServerSettings
from fluxbase_cli.errors import ConfigurationError, ExitCode
from fluxbase_cli.keyring import (
    KeyAbsentError,
    KeyCreator,
    KeyDestroyer,
    KeyInterruptedError,
    ProviderContext,
    load_provider,
)
from fluxbase_cli.keyring.command import CommandKeyProvider, process
from fluxbase_cli.keyring.command.error_output import HIDDEN, shown_lines
from fluxbase_cli.keyring.command.process import HowItEnded, run_program
from tests.fixtures.command import NEW_KEY, OLD_KEY, Command, until
from tests.fixtures.programs import runs

_HEX = OLD_KEY.hex()
_RAW = "Zk3v-Yw7Qe_x1Lr9TuB2mN8cHd5GfJ0s"
_PLACE = "fluxbase.yaml: security.encryption.keys[0].key_command"


def entry(*words: str) -> KeyEntry:
    return KeyEntry(1, "command", _PLACE, Secret(""), {"key_command": tuple(Secret(word) for word in words)})


def shell(script: str) -> KeyEntry:
    return entry("sh", "-c", script)


def provider(
    warn: Callable[[str], None] = pytest.fail,
    *,
    environ: Mapping[str, str] | None = None,
    passed: frozenset[str] = frozenset(),
    timeout_s: float = 30.0,
) -> CommandKeyProvider:
    encryption = EncryptionSettings(server=ServerSettings(pass_environment=passed))
    context = ProviderContext(encryption, {"PATH": os.environ["PATH"], **(environ or {})}, warn)
    return CommandKeyProvider(context, timeout_s)


def refused(key: KeyEntry, *, timeout_s: float = 30.0) -> tuple[str, list[str]]:
    """The message for a command that gives no key, and the warnings. Neither tells anything of a key."""
    warnings: list[str] = []
    with pytest.raises(ConfigurationError) as caught:
        provider(warnings.append, timeout_s=timeout_s).fetch(key)
    error = caught.value
    assert (error.exit_code, "\n" in error.message, error.__cause__) == (ExitCode.USAGE, False, None)
    # The source can't say that a key was destroyed, so nothing may be taken for that.
    assert not isinstance(error, KeyAbsentError)
    assert _PLACE in error.message
    told = f"{error.message} {error.hint} {error!r} {warnings}"
    for form in (_HEX, _HEX[:12], _RAW, _RAW[:12], base64.b64encode(OLD_KEY).decode()[:12]):
        assert form.lower() not in told.lower()
    return error.message, warnings


@pytest.mark.parametrize(
    ("script", "key"),
    [
        (f"echo {_HEX}", OLD_KEY),
        (f"printf {_HEX}", OLD_KEY),
        (f"printf '{_HEX}\\r\\n'", OLD_KEY),
        (f"echo {base64.b64encode(OLD_KEY).decode()}", OLD_KEY),
        (f"echo {_RAW}", _RAW.encode()),
        (f"exec 2>&-; echo {_HEX}; exec >&-; sleep 0.1", OLD_KEY),
    ],
)
def test_one_line_is_the_key(script: str, key: bytes) -> None:
    assert provider().fetch(shell(script)) == key


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 3", "ended with exit code 3"),
        (f"echo {_HEX}; exit 1", "ended with exit code 1"),
        ("kill -SEGV $$", "was ended by the signal SIGSEGV"),
        (f"echo {_HEX}; kill -KILL $$", "was ended by the signal SIGKILL"),
        ("true", "printed nothing"),
        ("echo", "printed nothing"),
        (f"echo {_HEX}; echo", "printed 2 lines, and must print one"),
        (f"echo {_HEX}; echo {NEW_KEY.hex()}", "printed 2 lines, and must print one"),
        (f"echo Your key:; echo {_RAW}", "printed 2 lines, and must print one"),
        (r"printf '\000\001\377'", "printed 3 bytes that are not text"),
        (f"printf '\\033[1m{_HEX}\\033[0m'", "printed 72 bytes that are not text"),
        (f"printf '{_HEX}\\r{_HEX}'", "printed 129 bytes that are not text"),
        (f"echo ' {_HEX}'", "is 65 bytes long, with white space around it"),
        (f'echo \'{{"key": "{_HEX}"}}\'', "is 75 bytes long"),
        ("head -c 100000 /dev/zero", "printed more than 4096 bytes, and was killed"),
        (f"while :; do echo {_HEX}; done", "printed more than 4096 bytes, and was killed"),
    ],
)
def test_what_is_not_one_line_with_a_key_is_refused(script: str, message: str) -> None:
    assert message in refused(shell(script))[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("no-such-program",), "can't be run: there is no such program in PATH"),
        (("./no-such-program",), "can't be run: there is no such file"),
        (("/",), "can't be run: Permission denied"),
        (("sh", "a\0b"), "can't be run: a word of it can't be an argument"),
        (("echo $HOME", "x"), "can't be run: there is no such program in PATH"),
    ],
)
def test_a_program_that_cannot_be_run(words: tuple[str, ...], message: str) -> None:
    assert refused(entry(*words))[0] == f"key_command {words[0]} ({_PLACE}) {message}"


def test_a_script_without_its_interpreter_is_told_apart_from_a_missing_one(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o700)
    assert refused(entry(str(script)))[0].endswith("can't be run: its interpreter is missing")


def test_no_shell_reads_the_words() -> None:
    assert provider().fetch(entry("printf", "%s", "$(echo k;);*~`|`" * 2)) == b"$(echo k;);*~`|`" * 2


def test_a_program_gets_no_secret_of_our_environment_unless_it_is_named() -> None:
    environ = {"VAULT_TOKEN": _RAW, "OP_TOKEN": _RAW}
    script = shell('test -z "$VAULT_TOKEN$1" && echo "$OP_TOKEN"')
    assert provider(environ=environ, passed=frozenset({"OP_TOKEN"})).fetch(script) == _RAW.encode()
    with pytest.raises(ConfigurationError, match="printed nothing"):
        provider(environ=environ).fetch(script)


def test_it_has_neither_input_nor_a_terminal() -> None:
    script = f'read -r x; test -z "$x" && ! (: < /dev/tty) 2>/dev/null && echo {_HEX}'
    assert provider().fetch(shell(script)) == OLD_KEY


# --- hangs, and what is left behind -----------------------------------------------------------------------------------


def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    script = f"trap '' TERM; sleep 600 & echo $! > {tmp_path}/child; echo {_HEX}; sleep 600"
    message, _ = refused(shell(script), timeout_s=0.5)
    assert message.endswith("did not end within 0.5 s, and was killed")
    until(lambda: not runs(int((tmp_path / "child").read_text())), "its child has ended", patience_s=20)
    # Also if it has closed both streams.
    assert "did not end" in refused(shell("exec >&- 2>&-; sleep 60"), timeout_s=0.3)[0]


def test_a_child_that_is_left_behind_is_not_waited_for_and_ends(tmp_path: Path) -> None:
    began = time.monotonic()
    assert provider().fetch(shell(f"sleep 600 & echo $! > {tmp_path}/child; echo {_HEX}")) == OLD_KEY
    assert time.monotonic() - began < 20
    until(lambda: not runs(int((tmp_path / "child").read_text())), "its child has ended", patience_s=20)


def test_a_child_in_a_session_of_its_own_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """As gpg-agent. It may even write to the streams that it got, without end."""
    real, ends = process._read_ready, time.monotonic() + 20

    def always_something(*arguments: Any) -> bool:
        assert time.monotonic() < ends, "it reads without end"
        real(*arguments)
        return True

    monkeypatch.setattr(process, "_read_ready", always_something)
    program = f"import os, time; print('{_HEX}', flush=True); os.fork() or (os.setsid(), time.sleep(30))"
    began = time.monotonic()
    assert provider().fetch(entry(sys.executable, "-c", program)) == OLD_KEY
    assert time.monotonic() - began < 15


def test_much_on_stderr_does_not_block_the_program() -> None:
    warnings: list[str] = []
    script = f"i=0; while [ $i -lt 3000 ]; do echo {'word ' * 20}$i >&2; i=$((i+1)); done; echo {_HEX}"
    assert provider(warnings.append).fetch(shell(script)) == OLD_KEY
    assert len(warnings) == 20
    assert warnings[-1].endswith("word 2999")


def test_it_can_be_run_from_another_thread() -> None:
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(provider().fetch(shell(f"echo {_HEX}"))))
    thread.start()
    thread.join()
    assert found == [OLD_KEY]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_for_us_ends_the_program_too(command: Command, number: signal.Signals) -> None:
    """It is in another session. So nothing else would end it."""
    pids = command.directory / "pids"
    script = f"trap '' TERM INT HUP; echo $$ > {pids}.new; mv {pids}.new {pids}; sleep 600; sleep 600"
    program = (
        "import os, signal\nfrom fluxbase_cli.keyring.command.process import run_program\n"
        # Under nohup it is ignored, and stays so.
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        f"run_program(['sh', '-c', {script!r}], os.environ, 30.0)"
    )
    with command.start_line([sys.executable, "-c", program]) as running:
        until(pids.exists, "the program runs")
        began = time.monotonic()
        running.send(number)
        assert running.finish().code in {-number, 1}
        assert time.monotonic() - began < 5
    until(lambda: not runs(int(pids.read_text())), "the program has ended", patience_s=20)


def test_a_command_that_is_asked_to_stop_ends_with_the_code_of_the_signal() -> None:
    """The handler of a job only notes the request. So the fetch of a key must end with an error."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        with pytest.raises(KeyInterruptedError, match="was killed, because this command was interrupted") as caught:
            provider().fetch(entry("sleep", "60"))
        timer.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.value.exit_code == ExitCode.SIGTERM


def test_a_request_to_stop_ends_the_program_and_the_former_handler_hears_of_it() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: came.append(number))
    try:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        result = run_program(["sleep", "60"], {"PATH": os.environ["PATH"]}, 30.0)
        timer.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (result.how, result.signal, came) == (HowItEnded.INTERRUPTED, signal.SIGTERM, [signal.SIGTERM])


def test_a_signal_that_does_not_end_us_does_not_end_the_program() -> None:
    """SIGHUP makes the daemon read its configuration again."""
    came: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _frame: came.append(number))
    try:
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGHUP))
        timer.start()
        assert provider().fetch(shell(f"sleep 0.5; echo {_HEX}")) == OLD_KEY
        timer.join()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert came == [signal.SIGHUP]


@pytest.mark.parametrize("words", [["sleep", "60"], ["no-such-program"]])
def test_a_signal_while_the_program_is_being_started_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """The program may run already, and its process is not known yet."""
    real, came = subprocess.Popen, []

    def start(*arguments: Any, **options: Any) -> Any:
        try:
            return real(*arguments, **options)
        finally:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("fluxbase_cli.keyring.command.process.subprocess.Popen", start)
    before = signal.signal(signal.SIGTERM, lambda number, _frame: came.append(number))
    try:
        if words[0] == "sleep":
            assert run_program(words, os.environ, 30.0).how is HowItEnded.INTERRUPTED
        else:
            with pytest.raises(FileNotFoundError):
                run_program(words, os.environ, 30.0)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [signal.SIGTERM]


# --- stderr -----------------------------------------------------------------------------------------------------------


def test_stderr_is_shown_with_control_characters_escaped() -> None:
    warnings: list[str] = []
    provider(warnings.append).fetch(shell(f"printf 'session expired soon\\n\\033[2Jx\\n\\n' >&2; echo {_HEX}"))
    assert warnings == [
        "key version 1, key_command sh: session expired soon",
        r"key version 1, key_command sh: \x1b[2Jx",
    ]
    assert refused(shell("echo not signed in >&2; exit 1"))[1] == ["key version 1, key_command sh: not signed in"]


_FORMS = {
    "hex": _HEX,
    "HEX": _HEX.upper(),
    "base64": base64.b64encode(OLD_KEY).decode(),
    "base64url": base64.urlsafe_b64encode(OLD_KEY).decode(),
    "in a sentence": f"got key={_HEX}!",
    "coloured": f"\x1b[31m{_HEX}\x1b[0m",
    "quoted": f'"{_HEX}"',
    "in two lines": f"{_HEX[:32]}\n{_HEX[32:]}",
}


@pytest.mark.parametrize("form", _FORMS.values(), ids=_FORMS)
@pytest.mark.parametrize("printed", [True, False], ids=["and prints it", "and prints nothing"])
def test_a_program_that_writes_the_key_to_stderr(form: str, *, printed: bool, tmp_path: Path) -> None:
    (tmp_path / "e").write_text(f"before\n{form}\nafter\n")
    if not printed:
        assert refused(shell(f"cat {tmp_path}/e >&2"))[1][0].endswith("before")
        return
    warnings: list[str] = []
    assert provider(warnings.append).fetch(shell(f"cat {tmp_path}/e >&2; echo {_HEX}")) == OLD_KEY
    assert [line.rpartition(": ")[2] for line in warnings] == ["before", *[HIDDEN] * len(form.split("\n")), "after"]


def test_no_part_of_what_was_printed_is_told() -> None:
    key = 'a"b c$d,e;f:g/h!i?j(k)l[m]n{o}p<'
    assert shown_lines(f"the key {key[:9]}… is too short".encode(), key.encode(), None) == (HIDDEN,)
    assert shown_lines(f"is {key}".encode(), key.encode(), key.encode()) == (HIDDEN,)
    # What was printed may be the key, also if it is not used.
    assert shown_lines(b"one: Secret-Text-1", b"Secret-Text-1\nother\n", None) == (HIDDEN,)
    # Nothing is known of the key: what may be one is hidden.
    for line in (key, f"key: {_RAW}", " ".join(_HEX[i : i + 2] for i in range(0, 64, 2)), f"k={_HEX[:24]}"):
        (shown,) = shown_lines(line.encode(), b"", None)
        assert HIDDEN in shown
        assert line[-12:] not in shown
    usual = "[ERROR] 2026/11/27 02:00:00 could not read secret op://Infra/fluxbase/key-2: not signed in"
    assert shown_lines(usual.encode(), b"", None) == (usual,)


def test_it_makes_and_destroys_no_keys_and_shows_no_arguments() -> None:
    keys = load_provider("command", ProviderContext(EncryptionSettings(), {}))
    assert isinstance(keys, CommandKeyProvider)
    assert not isinstance(keys, KeyCreator | KeyDestroyer)
    assert keys.place(entry("op", "read", "--token=marker")) == "command op"


def test_the_library_of_processes_is_not_loaded_before_a_key_is_needed() -> None:
    program = "import sys, fluxbase_cli.config, fluxbase_cli.keyring; sys.exit('subprocess' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
