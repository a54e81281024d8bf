"""The options `--plan-out` and `--plan` of a job: what would be done is written to a file, and later run from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluxbase_cli.cli.option_types import JobOptions
from fluxbase_cli.cli.options import Databases, Options, current_context
from fluxbase_cli.cli.output import print_result
from fluxbase_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from fluxbase_cli.cli.context import Loaded
    from fluxbase_cli.engine.databases import DatabasesReport, PreparedDatabases
    from fluxbase_cli.engine.request import JobRequest
    from fluxbase_cli.plans.differences import Difference
    from fluxbase_cli.plans.plan_file import SavedPlan
    from fluxbase_cli.store.records import JobKind


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _truth(value: Any) -> bool:  # noqa: ANN401  # JSON
    if not isinstance(value, bool):
        raise TypeError
    return value


def _text(value: Any) -> str:  # noqa: ANN401  # JSON
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(least: float, most: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:  # noqa: ANN401  # JSON
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise ValueError
        return value

    return read


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:  # noqa: ANN401  # JSON
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError
        return value

    return read


#: The options of a job that a plan keeps, with what reads each. `--join` and `--run-name` are not among them: they say
#: which processes do the work, not what is done.
_KEPT: Mapping[str, Callable[[Any], Any]] = {
    "batch_size": _optional(_whole(1, 50_000)),
    "batch_time": _number(0.0, 86_400.0),
    "concurrency": _whole(1, 64),
    "max_rate": _optional(_number(0.0, float("inf"))),
    "max_replica_lag": _optional(_text),
    "restart": _truth,
    "patience": _number(0.0, 86_400.0),
    "allow_triggers": _truth,
    "allow_publications": _truth,
    "accept_undecryptable": _truth,
    "allow_weak_key": _truth,
    "allow_unusable_key": _truth,
    "vacuum": _truth,
    "databases": Databases,
    "locations": _optional(Path),
    "transaction_wait": _number(0.0, 86_400.0),
}


def kept_options(job: JobOptions) -> dict[str, Any]:
    """The options of a job as a plan keeps them."""
    return {name: _as_json(getattr(job, name)) for name in _KEPT}


def _as_json(value: Any) -> Any:  # noqa: ANN401  # of any option's type
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def check_plan_options(job: JobOptions) -> JobOptions:
    """The options of a job, of which `--plan-out` makes a dry run.

    Raises:
        ConfigurationError: options can't go together, or the file can't be written.
    """
    if job.plan_digest is not None and job.plan is None:
        raise ConfigurationError("--plan-digest needs --plan", hint="Name the file with --plan FILE.")
    if job.plan_out is None:
        if _given("plan_valid"):
            raise ConfigurationError(
                "--plan-valid needs --plan-out", hint="Leave --plan-valid out: a plan says itself how long it is valid."
            )
        return job
    for other, value in (("--plan", job.plan), ("--join", job.join), ("--run-name", job.run_name)):
        if value:
            raise ConfigurationError(
                f"--plan-out and {other} can't go together",
                hint=f"Leave {other} out: --plan-out begins no job, it writes what one would do.",
            )
    from fluxbase_cli.plans.plan_file import refuse_unwritable  # noqa: PLC0415  # start-up time

    refuse_unwritable(job.plan_out)
    return replace(job, dry_run=True)


def opened_plan(
    kind: JobKind, job: JobOptions, goal: Mapping[str, int | str | None]
) -> tuple[SavedPlan, JobOptions] | None:
    """Read the file of `--plan`, and take its options. None without `--plan`.

    Args:
        kind: what the command does.
        job: the options as they were given.
        goal: `from_version`, `to_version` and `reason` as they were given, as far as the command has them.

    Returns:
        The plan, and the options of the job: those of the plan, and `--yes`.

    Raises:
        ConfigurationError: the file can't be used, or an option contradicts it.
    """
    if job.plan is None:
        return None
    from fluxbase_cli.plans.plan_file import read_plan  # noqa: PLC0415  # start-up time

    plan = read_plan(job.plan)
    if plan.kind is not kind:
        raise ConfigurationError(
            f"--plan {job.plan}: this is the plan of another command", hint=f"Run `secrets {plan.kind.value} --plan`."
        )
    options = _options_of(plan, job.plan)
    planned: dict[str, Any] = {"from_version": plan.from_version, "to_version": plan.to_version, "reason": plan.reason}
    wrong = [
        _contradiction(name, value, planned[name]) for name, value in goal.items() if _contradicts(name, value, planned)
    ]
    wrong += [
        _contradiction(name, getattr(job, name), options[name])
        for name in options
        # The file may be elsewhere on this machine. What is in it is compared.
        if name != "locations" and _contradicts(name, getattr(job, name), options)
    ]
    if wrong:
        raise ConfigurationError(f"options contradict the plan: {'; '.join(wrong)}", hint="Leave them out.")
    if _given("locations"):
        options["locations"] = job.locations
    return plan, replace(job, **options, yes=True)


def _options_of(plan: SavedPlan, path: Path) -> dict[str, Any]:
    try:
        options = {name: _KEPT[name](value) for name, value in plan.options.items()}
        return {name: options[name] for name in _KEPT}
    except (KeyError, TypeError, ValueError):
        raise ConfigurationError(
            f"--plan {path}: this is no plan: its options are not those of a job",
            hint="Make a new one with --plan-out.",
        ) from None


def _contradicts(name: str, given: Any, planned: Mapping[str, Any]) -> bool:  # noqa: ANN401  # of any option's type
    return _given(name) and given != planned[name]


def _contradiction(name: str, given: Any, planned: Any) -> str:  # noqa: ANN401  # of any option's type
    return f"--{name.replace('_', '-')} is {_shown(given)} and the plan says {_shown(planned)}"


def _shown(value: Any) -> str:  # noqa: ANN401  # of any option's type
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "set" if value else "not set"
    return str(_as_json(value))


def _given(name: str) -> bool:
    """Whether an option was given, on the command line or by its variable."""
    source = current_context().get_parameter_source(name)
    return source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")


def place_and_keys_fit(options: Options, job: JobOptions, plan: SavedPlan, loaded: Loaded, request: JobRequest) -> bool:
    """Whether it is the approved plan, and its time, database, keys and locations fit. If not, print what differs."""
    from fluxbase_cli.plans.differences import Difference, differences_of_place_and_keys  # noqa: PLC0415  # start-up

    if job.plan_digest not in (None, plan.digest):
        return _fits(options, job, plan, (Difference("--plan-digest", str(job.plan_digest), plan.digest),))
    found = differences_of_place_and_keys(plan, loaded.settings.database, loaded.keyring, request)
    return _fits(options, job, plan, found)


def work_fits(options: Options, job: JobOptions, plan: SavedPlan, targets: PreparedDatabases) -> bool:
    """Whether there is about as much to do as was planned, and no other job since. If not, print what differs."""
    from fluxbase_cli.plans.differences import differences_of_work  # noqa: PLC0415  # start-up time

    return _fits(options, job, plan, differences_of_work(plan, targets))


def _fits(options: Options, job: JobOptions, plan: SavedPlan, found: tuple[Difference, ...]) -> bool:
    from fluxbase_cli.report.plan import refused_data, refused_lines  # noqa: PLC0415  # start-up time

    if found:
        path = job.plan or Path()
        print_result(options, refused_data(plan, path, found), refused_lines(path, found))
    return not found


@dataclass(frozen=True, slots=True)
class WrittenPlan:
    """What is printed about a plan that was written; nothing if none was.

    Attributes:
        data: more fields of the result.
        lines: more lines of the result.
        path: the file.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    path: Path | None = None


def write_plan_of(
    job: JobOptions, loaded: Loaded, request: JobRequest, targets: PreparedDatabases, dry_run: DatabasesReport
) -> WrittenPlan:
    """Write the plan of `--plan-out`, if the dry run was not interrupted and did not fail.

    Raises:
        ConfigurationError: the file can't be written.
    """
    if job.plan_out is None or dry_run.together.state != "dry-run":
        return WrittenPlan()
    from fluxbase_cli.plans.make import PlanRequest, make_plan_of  # noqa: PLC0415  # start-up time
    from fluxbase_cli.plans.plan_file import write_plan  # noqa: PLC0415
    from fluxbase_cli.report.json_report import job_report  # noqa: PLC0415
    from fluxbase_cli.report.plan import written_data, written_lines  # noqa: PLC0415

    plan = make_plan_of(
        loaded.settings.database,
        loaded.keyring,
        request,
        targets,
        dry_run,
        job_report(dry_run.together)["forecast"],
        PlanRequest(kept_options(job), job.plan_valid),
    )
    write_plan(job.plan_out, plan)
    lines = tuple(written_lines(plan, job.plan_out))
    return WrittenPlan({"plan": written_data(plan, job.plan_out)}, lines, job.plan_out)
