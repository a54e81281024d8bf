"""What a server's start needs: a port that nobody has, and the end of what it says when it fails."""

from __future__ import annotations

import socket

from fluxbase_cli.printable import Lines, lines

_LOG_TAIL_LINES = 15


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def end_of_log(output: bytes) -> Lines:
    """The last lines of what a program of the server has said."""
    return lines(output.decode(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
