"""The option `--fleet FILE`: runs a command on many instances, each in a separate process.

`with_fleet` adds the options `--fleet`, `--parallel` and `--columns` to a command. All other options that were given,
on the command line or by a variable, are passed to every instance as they were read here.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from fluxbase_cli.cli.ask import ask, can_ask
from fluxbase_cli.cli.context import messages_for
from fluxbase_cli.cli.listing import ColumnNames, chosen_columns, print_list
from fluxbase_cli.cli.option_types import whole_number
from fluxbase_cli.cli.options import Options, current_context, expand_groups, with_signature
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.log_events import LogEvent

if TYPE_CHECKING:
    from fluxbase_cli.fleet.file import Fleet
    from fluxbase_cli.report.messages import Messages

_PARALLEL = 4

FleetFile = Annotated[
    Path | None,
    typer.Option(
        "--fleet",
        metavar="FILE",
        help="Run the command on every instance in this YAML file (see docs/operators/fleet.md).",
    ),
]
Parallel = Annotated[
    int | None,
    typer.Option(
        "--parallel",
        parser=whole_number(least=1, most=64),
        metavar="N",
        help=f"With --fleet: run on this many instances at the same time. [default: {_PARALLEL}]",
    ),
]
_ADDED: dict[str, Any] = {"fleet": FleetFile, "parallel": Parallel, "columns": ColumnNames}
#: The options that make no sense for many instances, with the reason.
_REFUSED = {
    "config": "the fleet file names each instance's configuration",
    "database_url": "each instance's configuration names its database",
    "join": "an instance's job is joined from its own command line",
    "watch": "one instance at a time can be watched",
    "plan": "a plan is for one database",
    "plan_out": "each instance needs a plan of its own",
}
#: Options that instances do not get. The fleet asks its question once, so `--yes` is handled apart.
_NOT_PASSED_ON = frozenset({*_ADDED, "yes"})


def with_fleet(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Add the options `--fleet`, `--parallel` and `--columns` to a command.

    Its first parameter must be `options: Options`. If it has the option `--columns` itself, it gets that without
    `--fleet`.
    """
    function = expand_groups(function)
    hints = get_type_hints(function, include_extras=True)
    own = [each.replace(annotation=hints[each.name]) for each in inspect.signature(function).parameters.values()]
    has_columns = any(each.name == "columns" for each in own)

    @functools.wraps(function)
    def wrapper(
        options: Options,
        *,
        fleet: Path | None = None,
        parallel: int | None = None,
        **arguments: Any,  # noqa: ANN401  # the command's own
    ) -> int | None:
        if fleet is not None:
            return _run(options, fleet, parallel or _PARALLEL, arguments)
        if not has_columns and arguments.pop("columns", None) is not None and _source("columns") == "COMMANDLINE":
            raise ConfigurationError(
                "--columns needs --fleet here",
                hint="Leave --columns out, or add --fleet FILE: the columns are those of the instances.",
            )
        if _source("parallel") == "COMMANDLINE":
            raise ConfigurationError(
                "--parallel needs --fleet",
                hint="Leave --parallel out. It sets the number of instances; --concurrency sets the number of workers.",
            )
        return function(options, **arguments)

    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _ADDED.items()
        if name not in hints
    ]
    return with_signature(wrapper, [*own, *added])


def _run(options: Options, path: Path, parallel: int, arguments: Mapping[str, Any]) -> int:
    from fluxbase_cli.cli.signals import leave_on_sigterm, pass_signals_on  # noqa: PLC0415  # start-up time
    from fluxbase_cli.fleet.file import read_fleet  # noqa: PLC0415
    from fluxbase_cli.fleet.outcome import FleetResult  # noqa: PLC0415
    from fluxbase_cli.fleet.run import FleetRun  # noqa: PLC0415
    from fluxbase_cli.report.fleet import FleetMessages, fleet_data, fleet_lines, fleet_listing  # noqa: PLC0415

    _refuse_options(options, arguments)
    messages = messages_for(options)
    words = _words()
    listing = fleet_listing(" ".join(words))
    columns = chosen_columns(options, listing, arguments.get("columns"))
    fleet = read_fleet(path)
    given = _given(arguments)
    must_ask = arguments.get("yes") is False and not arguments.get("dry_run")
    with leave_on_sigterm(messages.fail):
        if must_ask and can_ask():
            _ask(fleet, [*words, *given], parallel)
    run = FleetRun(
        fleet,
        _line(options, [*words, *given], yes="yes" in arguments),
        environ=os.environ,
        parallel=parallel,
        listener=FleetMessages(messages),
    )
    with pass_signals_on(run.stop, messages.tell):
        result = FleetResult(run.run(), run.signal)
    data, text = fleet_data(" ".join(words), result), fleet_lines(" ".join(words), result)
    print_list(options, data, listing, result.instances, columns, text)
    _say_how_to_resume(result.signal, messages)
    return result.exit_code


def _say_how_to_resume(signal: int | None, messages: Messages) -> None:
    if signal is not None:
        messages.tell(LogEvent.COMMAND_TO_REPEAT, "Run the same command again: it resumes, and skips what is done.")


def _refuse_options(options: Options, arguments: Mapping[str, Any]) -> None:
    given = {**arguments, "config": options.config, "database_url": options.database_url}
    for name, reason in _REFUSED.items():
        if given.get(name):
            option = "--" + name.replace("_", "-")
            raise ConfigurationError(
                f"{option} and --fleet can't go together: {reason}",
                hint=f"Leave one of the two out (FLUXBASE_CLI_{name.upper()} and FLUXBASE_CLI_FLEET count too).",
            )


def _words() -> list[str]:
    """The words of the command's name, such as `secrets` and `audit`."""
    return current_context().command_path.split()[1:]


def _line(options: Options, command: list[str], *, yes: bool) -> list[str]:
    # -P: the instance's working directory must not be searched for Python modules.
    line = [sys.executable, "-P", "-m", "fluxbase_cli.cli.instance", *command]
    if yes:
        line.append("--yes")
    if options.debug:
        line.append("--debug")
    return [*line, "--output=json", "--log-format=json"]


def _given(arguments: Mapping[str, Any]) -> list[str]:
    """The command's own options that were given on the command line or by a variable, as command-line words."""
    return [
        word
        for option in current_context().command.params
        for name in (str(option.name),)
        if name in arguments and name not in _NOT_PASSED_ON and _source(name) in ("COMMANDLINE", "ENVIRONMENT")
        for word in _typed(max(option.opts, key=len), option.secondary_opts, arguments[name])
    ]


def _source(name: str) -> str:
    """Where an option's value comes from: `COMMANDLINE`, `ENVIRONMENT`, `DEFAULT` and so on."""
    source = current_context().get_parameter_source(name)
    return "" if source is None else source.name


def _typed(name: str, opposite: list[str], value: Any) -> list[str]:  # noqa: ANN401  # of any option's type
    if isinstance(value, bool):
        return [name] if value else opposite[:1]
    values = value if isinstance(value, (list, tuple)) else [value]
    return [f"{name}={_text(each)}" for each in values if each is not None]


def _text(value: Any) -> str:  # noqa: ANN401  # of any option's type
    if isinstance(value, Path):
        # Each instance has its own working directory, so a relative path would mean another file there.
        return str(value.absolute())
    return str(value.value if isinstance(value, Enum) else value)


def _ask(fleet: Fleet, command: list[str], parallel: int) -> None:
    """Show what will be done and ask once for the whole fleet.

    Raises:
        CancelledError: the operator does not agree.
    """
    from fluxbase_cli.report.fleet import plan_lines  # noqa: PLC0415  # start-up time

    ask("Go ahead?", plan_lines(fleet, command, parallel))
