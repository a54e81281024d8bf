"""The options that every command has, before or after its name, and how a command ends.

A command is a function whose first parameter is `Options`. `command` adds the common options to its signature, merges
them with those given before the command's name, and turns errors into one line and an exit code.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperGroup
from typer.models import OptionInfo, ParameterInfo

from fluxbase_cli.cli.commands import Commands
from fluxbase_cli.cli.durations import TIME, as_time
from fluxbase_cli.cli.finish import finish
from fluxbase_cli.color import may_color
from fluxbase_cli.errors import ConfigurationError

_LOG_FORMAT = "--log-format"
_LOG_FORMAT_VARIABLE = "FLUXBASE_CLI_LOG_FORMAT"

_F = TypeVar("_F", bound=Callable[..., Any])
_R = TypeVar("_R")
_G = TypeVar("_G")


class Output(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    SARIF = "sarif"
    """`security check` only."""
    JUNIT = "junit"
    """`security check` only."""
    CSV = "csv"
    """Lists only."""
    NAME = "name"
    """Lists only: the ids, one on each line."""


#: The forms that every command has.
OUTPUTS = frozenset({Output.TABLE, Output.JSON, Output.YAML})
#: The forms of commands that print a list.
LIST_OUTPUTS = OUTPUTS | {Output.CSV, Output.NAME}
#: The forms of `security check`.
CHECK_OUTPUTS = LIST_OUTPUTS | {Output.SARIF, Output.JUNIT}


def file_path(text: str | Path) -> Path:
    """Read an option that names a file.

    Raises:
        typer.BadParameter: the name is empty. `Path` would make the working directory of it.
    """
    if text == "":
        raise typer.BadParameter("the name of the file is empty. Is a variable in the command not set?")
    return Path(text)


class LogFormat(StrEnum):
    """How messages are printed."""

    TEXT = "text"
    JSON = "json"


class Databases(StrEnum):
    """Which databases a command works on (as `fluxbase_cli.store.databases.Databases`, without its imports)."""

    MAIN = "main"
    BRANCHES = "branches"
    TENANTS = "tenants"
    ALL = "all"


@dataclass(frozen=True, slots=True, repr=False)
class Options:
    """The common options of one call. None means that the option was not given."""

    config: Path | None = None
    database_url: str | None = None
    output: Output | None = None
    quiet: bool | None = None
    no_color: bool | None = None
    debug: bool | None = None
    log_format: LogFormat | None = None

    def overridden_by(self, other: Options) -> Options:
        """These options, replaced by those that `other` has."""
        given = {f.name: getattr(other, f.name) for f in fields(other) if getattr(other, f.name) is not None}
        return replace(self, **given)

    @property
    def json_messages(self) -> bool:
        """Whether messages are JSON lines."""
        return self.log_format is LogFormat.JSON

    @property
    def color(self) -> bool:
        """Whether colour is allowed."""
        return not self.no_color and may_color(os.environ)


_CONTEXT: ContextVar[typer.Context] = ContextVar("context")


def current_context() -> typer.Context:
    """Typer's context of the running command: its name, and where each option's value comes from."""
    return _CONTEXT.get()


def current_options() -> Options:
    """The common options of the running command. Without one (`--help`, wrong usage), no option is given."""
    context = _CONTEXT.get(None)
    return context.obj if context is not None and isinstance(context.obj, Options) else Options()


def wants_json(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether messages are printed as JSON, before the command line is read."""
    given = environ.get(_LOG_FORMAT_VARIABLE, "")
    for before, word in pairwise(("", *arguments)):
        if before == _LOG_FORMAT:
            given = word
        elif word.startswith(f"{_LOG_FORMAT}="):
            given = word.removeprefix(f"{_LOG_FORMAT}=")
    return given == LogFormat.JSON


def _declarations(*, environment: bool, outputs: frozenset[Output], more: frozenset[Output]) -> dict[str, Any]:
    """The common options as parameters.

    Only the options before the command's name read the environment. After the name, only the command line counts.
    Otherwise a variable could override an option on the command line. `more` are forms that only `--fleet` has.
    """
    with_fleet = f" With --fleet also {' and '.join(each for each in Output if each in more)}." if more else ""

    def option(*names: str, variable: str, text: str, **rest: Any) -> Any:  # noqa: ANN401  # typer's own type
        if environment:
            rest |= {"envvar": variable, "show_envvar": False}
        return typer.Option(*names, help=text, **rest)

    return {
        "config": Annotated[
            Path | None,
            option(
                "--config",
                variable="FLUXBASE_CLI_CONFIG",
                text="Read this fluxbase.yaml.",
                metavar="PATH",
                parser=file_path,
            ),
        ],
        "database_url": Annotated[
            str | None,
            option(
                "--database-url",
                variable="FLUXBASE_CLI_DATABASE_URL",
                # All users of the machine can read the argument list, with the password in it.
                text="Connect here instead of database.* (keep passwords in FLUXBASE_DATABASE_URL or ~/.pgpass).",
                metavar="URL",
            ),
        ],
        "output": Annotated[
            Output | None,
            option(
                "-o",
                "--output",
                variable="FLUXBASE_CLI_OUTPUT",
                text=f"Print the result in this form.{with_fleet}",
                metavar=f"[{'|'.join(each for each in Output if each in outputs)}]",
            ),
        ],
        "quiet": Annotated[
            bool | None,
            option("-q", "--quiet", variable="FLUXBASE_CLI_QUIET", text="Print only the result and errors."),
        ],
        "no_color": Annotated[
            bool | None, option("--no-color", variable="FLUXBASE_CLI_NO_COLOR", text="No colours (as NO_COLOR).")
        ],
        "debug": Annotated[
            bool | None, option("--debug", variable="FLUXBASE_CLI_DEBUG", text="Show where in the code an error arose.")
        ],
        "log_format": Annotated[
            LogFormat | None,
            option(_LOG_FORMAT, variable=_LOG_FORMAT_VARIABLE, text="Print messages on stderr in this form."),
        ],
    }


def _add_common(
    function: Callable[..., Any],
    *,
    environment: bool,
    first: str | None,
    outputs: frozenset[Output] = OUTPUTS,
    more: frozenset[Output] = frozenset(),
) -> Callable[..., Any]:
    """Add the common options to a function. Typer reads them from the signature."""
    hints = get_type_hints(function, include_extras=True)
    own = [
        _with_time(parameter.replace(annotation=_with_variable(name, hints[name])))
        for name, parameter in inspect.signature(function).parameters.items()
        if name != first
    ]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _declarations(environment=environment, outputs=outputs, more=more).items()
    ]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]

    @functools.wraps(function)
    def wrapper(ctx: typer.Context, **arguments: Any) -> None:  # noqa: ANN401  # the function's own arguments
        given = Options(**{f.name: arguments.pop(f.name) for f in fields(Options)})
        before = ctx.obj if isinstance(ctx.obj, Options) else Options()
        options = ctx.obj = before.overridden_by(given)
        _CONTEXT.set(ctx)
        if first is None:
            function(**arguments)
        else:
            finish(function, options, arguments, first)

    return with_signature(wrapper, [context, *own, *common])


def with_signature(wrapper: _F, parameters: Iterable[inspect.Parameter]) -> _F:
    """Give a wrapper the parameters that Typer reads."""
    signature = inspect.Signature(list(parameters))
    wrapper.__signature__ = signature  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in signature.parameters.values()}
    return wrapper


def _with_variable(name: str, annotation: Any) -> Any:  # noqa: ANN401  # typing's own forms
    """Add an option's variable to its annotation. `--batch-size` is also read from FLUXBASE_CLI_BATCH_SIZE."""
    kind, *extras = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    named = [_named(name, extra) if isinstance(extra, OptionInfo) else extra for extra in extras]
    if Path in (kind, *get_args(kind)) or list[Path] in get_args(kind):
        named = [_with_file_path(extra) for extra in named]
    return Annotated[kind, *named] if named else kind


def _with_time(parameter: inspect.Parameter) -> inspect.Parameter:
    """Write the default of a length of time with its unit, so that the help shows it so. The parser reads both."""
    is_time = any(isinstance(each, OptionInfo) and each.metavar == TIME for each in get_args(parameter.annotation))
    if not is_time or not isinstance(parameter.default, int | float):
        return parameter
    return parameter.replace(default=as_time(parameter.default))


def _with_file_path(extra: Any) -> Any:  # noqa: ANN401  # typing's own forms
    """Let a parameter that names a file refuse an empty name."""
    if not isinstance(extra, ParameterInfo):
        return extra
    extra = copy(extra)
    extra.parser = file_path
    return extra


def _named(name: str, option: OptionInfo) -> OptionInfo:
    # An eager option such as --version acts at once and gets no variable.
    if option.envvar is not None or option.is_eager:
        return option
    # Inside Annotated, Typer stores the option's first name as the default.
    names = [each for each in (option.default, *(option.param_decls or ())) if isinstance(each, str)]
    longest = max((each.partition("/")[0] for each in names if each.startswith("-")), key=len, default=name)
    option = copy(option)
    option.envvar = "FLUXBASE_CLI_" + longest.strip("-").replace("-", "_").upper()
    option.show_envvar = False
    return option


def option_group(group: type[_G]) -> type[_G]:
    """Mark a dataclass as a group of options. A parameter of this type stands for all its fields."""
    group.__option_group__ = True  # type: ignore[attr-defined]
    return group


def expand_groups(function: Callable[..., _R]) -> Callable[..., _R]:
    """Replace each parameter that is an option group by the group's options. Typer reads them from the signature."""
    hints = get_type_hints(function, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if getattr(hint, "__option_group__", False)}
    if not groups:
        return function
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in groups:
            parameters += _options_of(groups[name])
        else:
            parameters.append(parameter.replace(annotation=hints[name]))

    @functools.wraps(function)
    def wrapper(*given: Any, **arguments: Any) -> _R:  # noqa: ANN401  # the function's own arguments
        for name, group in groups.items():
            arguments[name] = group(**{each.name: arguments.pop(each.name) for each in fields(group)})
        return function(*given, **arguments)

    return with_signature(wrapper, parameters)


def _options_of(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name])
        for each in fields(group)
    ]


def root_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the common options, with their environment variables, to the program's callback."""
    return _add_common(function, environment=True, first=None)


def group_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the common options to a group's callback."""
    return _add_common(function, environment=False, first=None)


def command_group(text: str, *, cls: type[TyperGroup] = TyperGroup) -> typer.Typer:
    """A group of commands that takes the common options.

    Args:
        text: its help.
        cls: the class of the group.
    """

    def group() -> None:
        """Take the common options."""

    app = Commands(cls=cls, help=text, no_args_is_help=True, rich_markup_mode=None)
    app.callback()(group_options(group))
    return app


def command(
    function: Callable[..., int | None],
    *,
    outputs: frozenset[Output] = OUTPUTS,
    fleet_outputs: frozenset[Output] | None = None,
) -> Callable[..., Any]:
    """Make a command of a function with a first parameter `options: Options`.

    The function returns its exit code, or None for 0.

    Args:
        function: the function.
        outputs: the forms in which it prints its result.
        fleet_outputs: the forms with `--fleet`; None: the same.
    """
    expanded = expand_groups(function)
    first = next(iter(inspect.signature(expanded).parameters))

    @functools.wraps(expanded)
    def checked(**arguments: Any) -> int | None:  # noqa: ANN401  # the function's own arguments
        output = arguments[first].output
        allowed = outputs if arguments.get("fleet") is None or fleet_outputs is None else fleet_outputs
        if output is not None and output not in allowed:
            names = ", ".join(each for each in Output if each in allowed)
            place = "lists" if output in LIST_OUTPUTS else "`security check`"
            if output in (fleet_outputs or ()):
                place = "the list of instances, with --fleet"
            raise ConfigurationError(f"--output {output} is for {place}", hint=f"Choose one of {names}.")
        return expanded(**arguments)

    # Since Python 3.14 `wraps` copies only annotations that are still to be evaluated.
    checked.__annotations__ = expanded.__annotations__
    return _add_common(
        checked, environment=False, first=first, outputs=outputs, more=(fleet_outputs or outputs) - outputs
    )
