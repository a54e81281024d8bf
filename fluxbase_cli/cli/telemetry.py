"""Telemetry of a command, if the environment asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fluxbase_cli.log_events import LogEvent

if TYPE_CHECKING:
    from fluxbase_cli.engine.stop import Stop
    from fluxbase_cli.report.messages import Messages
    from fluxbase_cli.telemetry.listener import Telemetry


@contextmanager
def telemetry_for(messages: Messages, stop: Stop) -> Iterator[Telemetry]:
    """The telemetry of a command. At the end of the block what is left is sent.

    Args:
        messages: gets a warning if telemetry is asked for and does not work. The command continues without telemetry.
        stop: if a signal has requested it, the end is quick.
    """
    telemetry = _open(messages)
    try:
        yield telemetry
    finally:
        telemetry.close(quickly=stop.requested)


def _open(messages: Messages) -> Telemetry:
    from fluxbase_cli.telemetry.asked import asked  # noqa: PLC0415  # start-up time
    from fluxbase_cli.telemetry.listener import NullTelemetry  # noqa: PLC0415

    wanted = asked(os.environ)
    if not wanted:
        return NullTelemetry()
    if wanted.other_protocol is not None:
        messages.warn(
            LogEvent.TELEMETRY_FAILED,
            "no telemetry: OTEL_EXPORTER_OTLP_PROTOCOL is not http/protobuf: set it to http/protobuf",
        )
        return NullTelemetry()

    def failed() -> None:
        messages.warn(
            LogEvent.TELEMETRY_FAILED,
            f"telemetry was not delivered completely to {wanted.host}; check OTEL_EXPORTER_OTLP_ENDPOINT",
        )

    try:
        from fluxbase_cli.telemetry.otlp import OtlpTelemetry  # noqa: PLC0415  # only if asked for

        return OtlpTelemetry(wanted, failed)
    except ImportError:
        messages.warn(
            LogEvent.TELEMETRY_FAILED,
            "no telemetry: an OTEL_… variable asks for it, and OpenTelemetry is not installed: "
            "pip install 'fluxbase-cli[otel]'",
        )
    except Exception as error:  # noqa: BLE001  # the texts of these errors may quote a variable
        messages.warn(
            LogEvent.TELEMETRY_FAILED,
            f"no telemetry: an OTEL_… variable can't be used ({type(error).__name__}); check all of them",
        )
    return NullTelemetry()
