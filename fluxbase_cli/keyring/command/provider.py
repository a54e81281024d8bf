"""The provider `command`: runs a program of the operator, which prints the key of a version.

The program can't ask anything: it has no terminal and an empty standard input. It gets a clean environment
(`fluxbase_cli.config.command_environment`). This provider makes no keys and destroys none: the operator does that in
the place that the program reads.
"""

from __future__ import annotations

import signal
from pathlib import Path

from fluxbase_cli.config import KeyEntry
from fluxbase_cli.config.command_environment import clean_environment
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.command.error_output import shown_lines
from fluxbase_cli.keyring.command.process import MOST_PRINTED_BYTES, HowItEnded, Result, run_program
from fluxbase_cli.keyring.material import parse_key
from fluxbase_cli.keyring.provider import KeyInterruptedError, ProviderContext

TIMEOUT_S = 30.0

_FIELD = "key_command"
_RUN_HINT = "Run the same command by hand, with the same user. If this key was destroyed, remove its entry."


class CommandKeyProvider:
    """Keys that programs print.

    Args:
        context: the configuration and our environment.
        timeout_s: how long a program may take, in seconds.
    """

    def __init__(self, context: ProviderContext, timeout_s: float = TIMEOUT_S) -> None:
        self._context = context
        self._timeout_s = timeout_s

    def fetch(self, entry: KeyEntry) -> bytes:
        """Run the program of the entry, and return the key that it prints.

        What it writes to stderr is shown as warnings.

        Raises:
            KeyInterruptedError: a signal came for us.
            ConfigurationError: it can't be run, hangs, fails, or does not print a key in exactly one line. The message
                contains nothing that it printed.
        """
        words = _words_of(entry)
        name = f"{_FIELD} {words[0]} ({entry.source})"
        environ = clean_environment(self._context.environ, self._context.encryption.server.pass_environment)
        try:
            result = run_program(words, environ, self._timeout_s)
        except (OSError, ValueError) as error:
            raise _not_run(name, words[0], error) from None
        secret: bytes | None = None
        try:
            secret = parse_key(_line_of(result, name, self._timeout_s), name)
        finally:
            for line in shown_lines(result.stderr, result.stdout, secret):
                self._context.warn(f"key version {entry.version}, {_FIELD} {words[0]}: {line}")
        return secret

    def place(self, entry: KeyEntry) -> str:
        """The name of the program. Its arguments are not shown: they may hold a password."""
        return f"command {_words_of(entry)[0]}"


def _words_of(entry: KeyEntry) -> tuple[str, ...]:
    option = entry.options.get(_FIELD)
    words = tuple(word.reveal() for word in option) if isinstance(option, tuple) else ()
    if not words:
        raise ConfigurationError(f"{entry.source} has no {_FIELD}", hint="Write `key_command: [PROGRAM, ARGUMENT]`.")
    return words


def _line_of(result: Result, name: str, timeout_s: float) -> str:
    """The one line that a program printed, without its line end.

    Raises:
        ConfigurationError: it failed, or printed anything else.
    """
    match result.how:
        case HowItEnded.HUNG:
            raise ConfigurationError(
                f"{name} did not end within {timeout_s:g} s, and was killed",
                hint="Check whether it waits for a login or for the network. "
                "It can't ask questions: it has no terminal and no input.",
            )
        case HowItEnded.PRINTED_TOO_MUCH:
            raise ConfigurationError(
                f"{name} printed more than {MOST_PRINTED_BYTES} bytes, and was killed",
                hint="It must print the key and nothing else.",
            )
        case HowItEnded.INTERRUPTED:
            raise KeyInterruptedError(f"{name} was killed, because this command was interrupted", result.signal)
        case HowItEnded.ENDED:
            pass
    if result.code != 0:
        raise ConfigurationError(f"{name} {_end_of(result.code)}", hint=_RUN_HINT)
    line = result.stdout.removesuffix(b"\n").removesuffix(b"\r")
    if not line.strip():
        raise ConfigurationError(f"{name} printed nothing", hint=_RUN_HINT)
    if breaks := line.count(b"\n"):
        raise ConfigurationError(
            f"{name} printed {breaks + 1} lines, and must print one",
            hint="The key must be the only line on stdout. Let the command print one field of the secret, and write "
            "messages to stderr.",
        )
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if not text.isprintable():
        raise ConfigurationError(
            f"{name} printed {len(line)} bytes that are not text",
            hint="It must print the key as text: 64 hex digits, for example.",
        )
    return text


def _end_of(code: int) -> str:
    if code > 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by the signal {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by the signal {-code}"


def _not_run(name: str, program: str, error: OSError | ValueError) -> ConfigurationError:
    if isinstance(error, FileNotFoundError):
        absent = "there is no such file" if "/" in program else "there is no such program in PATH"
        # A script whose interpreter is missing gives the same error.
        why = "its interpreter is missing" if "/" in program and Path(program).exists() else absent
        return ConfigurationError(f"{name} can't be run: {why}", hint="Install it, or write its full path.")
    reason = (error.strerror if isinstance(error, OSError) else None) or "a word of it can't be an argument"
    return ConfigurationError(f"{name} can't be run: {reason}", hint="`ls -l` shows whether it may be run.")
