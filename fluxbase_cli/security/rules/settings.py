"""Rules on the configuration itself: what the server does not read, takes literally, skips or refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fluxbase_cli.config.reader import variable_name
from fluxbase_cli.security.configuration import inert
from fluxbase_cli.security.configuration.known import all_settings
from fluxbase_cli.security.configuration.reading import Origin, ServerConfiguration, setting_place
from fluxbase_cli.security.configuration.refusals import refusals
from fluxbase_cli.security.configuration.secrets import is_secret_path
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, Place, Severity, Unchecked
from fluxbase_cli.security.rule import Point, rule

_TENANT = re.compile(r"^tenants\.configs\.[^.]+\.")
#: What people hope that the server replaces.
_REFERENCE = re.compile(r"\$\{[^}]*\}|\{\{.*?\}\}|\$\([^)]*\)", re.DOTALL)
_TYPO = 0.85
_NOT_READ = "the server does not read it"


@rule(
    "FB-CFG-001",
    "Setting that the server does not read",
    severity=Severity.MEDIUM,
    point=Point.AUDITS,
    quote="Configure security headers",
    explanation="""
    The server ignores names that it does not know, without a message. Several names of its own documentation are such
    names: `auth.jwt.secret`, `ratelimit.*`, `server.security_headers.*`, `FLUXBASE_ENV`, `FLUXBASE_LOG_LEVEL`. Some
    settings have no default, and their variables are read only if the setting is in the file too. It is high if the
    setting should protect something, info if the server's own image or chart sets it, or if another release reads it.
    """,
    remedy="# Use the name that the server reads, or remove the setting.",
)
def setting_is_not_read(facts: Facts) -> Iterator[Found]:
    """A name in the file or a variable that the server ignores."""
    configuration = facts.configuration
    yield from _inert_settings(configuration)
    yield from _inert_variables(configuration)


def _inert_settings(configuration: ServerConfiguration) -> Iterator[Found]:
    told: set[str] = set()
    for path, value in sorted(configuration.leaves.items()):
        known_as = _TENANT.sub("tenants.configs.{}.", path)
        if known_as in configuration.known or path.startswith(inert.OUR_SECTIONS):
            continue
        found = inert.documented(path, inert.SECTIONS, ".")
        if found is not None:
            section, entry = found
            if section not in told:
                told.add(section)
                place = setting_place(value)
                shown = f"{value.label}:{value.line}: {section}"
                yield Found(
                    Place("setting", section, shown, place.file, place.line), _NOT_READ, entry.severity, entry.remedy
                )
        elif known_as in all_settings():
            yield Found(setting_place(value), f"release {configuration.release} does not read it", Severity.INFO)
        else:
            yield Found(setting_place(value), _NOT_READ, *_nearest(path, configuration))


def _nearest(path: str, configuration: ServerConfiguration) -> tuple[Severity, str]:
    from difflib import get_close_matches  # noqa: PLC0415  # start-up time; needed only after a mistake

    near = get_close_matches(path, configuration.known, 1, _TYPO)
    if near:
        return Severity.MEDIUM, f"# Did you mean {near[0]}? Otherwise remove it."
    section = path.partition(".")[0]
    sections = {each.partition(".")[0] for each in configuration.known}
    # A section of another program, or an anchor (`x-common`), is no mistake.
    return Severity.MEDIUM if section in sections else Severity.LOW, "# Remove it, or use the server's name for it."


def _inert_variables(configuration: ServerConfiguration) -> Iterator[Found]:
    by_variable = {variable_name(path): path for path in configuration.known if "[" not in path and "{" not in path}
    elsewhere = {variable_name(path) for path in all_settings()}
    told: set[str] = set()
    for name in configuration.environment.names():
        foreign = name in inert.FOREIGN_VARIABLES or name.startswith(inert.FOREIGN_PREFIXES)
        if not name.startswith("FLUXBASE_") or foreign or name in inert.DIRECT_VARIABLES:
            continue
        place = configuration.variable_place(name)
        path = by_variable.get(name)
        if path is not None:
            if configuration.known[path].default is None and path not in configuration.leaves:
                yield Found(
                    place,
                    f"the server reads it only if {path} is in fluxbase.yaml too",
                    Severity.MEDIUM,
                    f"# Write {path} into fluxbase.yaml.",
                )
            continue
        found = inert.documented(name, inert.VARIABLES, "_")
        if found is not None:
            key, entry = found
            if key not in told:
                told.add(key)
                # The image of the server sets this one to this value.
                of_image = name == "FLUXBASE_LOG_LEVEL" and configuration.text_of_variable(name) == "info"
                yield Found(place, _NOT_READ, Severity.INFO if of_image else entry.severity, entry.remedy)
        elif name in elsewhere:
            yield Found(place, f"release {configuration.release} does not read it", Severity.INFO)
        else:
            yield Found(place, _NOT_READ, *_nearest_variable(name, by_variable))


def _nearest_variable(name: str, known: dict[str, str]) -> tuple[Severity, str]:
    from difflib import get_close_matches  # noqa: PLC0415  # start-up time; needed only after a mistake

    near = get_close_matches(name, known, 1, _TYPO)
    if near:
        return Severity.MEDIUM, f"# Did you mean {near[0]}? Otherwise remove it."
    return Severity.LOW, "# Remove it, if it is not for a program of your own."


@rule(
    "FB-CFG-002",
    "Reference that the server takes literally",
    severity=Severity.MEDIUM,
    point=Point.ENVIRONMENT,
    quote="Use environment variables for secrets",
    explanation="""
    The server does not replace `${NAME}` or `{{ … }}` in fluxbase.yaml, although its documentation shows `secret:
    ${JWT_SECRET}`. The text itself becomes the value, and everybody can read it in the documentation. It is critical
    for the setup token and the encryption key, high for other secrets. A variable that holds such a text, and is not
    in .env, is a finding too. It is no finding if a variable overrides the setting. If another program fills the file
    in before the server starts, check the filled file. `security.encryption` belongs to fluxbase-cli, which replaces
    `${NAME}`.
    """,
    remedy="# Remove the setting from the file, and set its variable FLUXBASE_… instead.",
)
def reference_is_literal(facts: Facts) -> Iterator[Found]:
    """A setting holds a reference that nobody replaces."""
    configuration = facts.configuration
    for path in sorted(configuration.known):
        setting = configuration.get(path)
        if setting is None or setting.is_default or not _REFERENCE.search(setting.text):
            continue
        severity = Severity.HIGH if is_secret_path(path) else Severity.MEDIUM
        if path in ("security.setup_token", "encryption_key"):
            severity = Severity.CRITICAL
        yield Found(
            setting.place,
            "the server uses the reference itself as the value",
            severity,
            f"{variable_name(path)}=…    # the value itself"
            + (f"; and remove {path} from the file" if setting.origin is Origin.FILE else ""),
        )


@rule(
    "FB-CFG-003",
    "Configuration file that the server skips",
    severity=Severity.HIGH,
    point=Point.AUDITS,
    quote="Use different configurations for environments",
    explanation="""
    If the server can't parse fluxbase.yaml, it writes a warning to its log and starts with its defaults and the
    variables. All settings of the file are missing then, and with them what they should protect. Of several files the
    server reads the first only; that there is a second one is told as info.
    """,
    remedy="# Correct the file. Then look for `Config file loaded` in the server's log.",
)
def file_is_skipped(facts: Facts) -> Iterator[Found]:
    """A file can't be parsed, or is never read."""
    configuration = facts.configuration
    for each in configuration.unreadable:
        yield Found(each.place, f"{each.reason}; the server starts without it")
    if configuration.second_file is not None:
        yield Found(
            Place("file", configuration.second_file, configuration.second_file, configuration.second_file, 1),
            f"the server never reads it, because {configuration.config_label} comes first",
            Severity.INFO,
            "# Remove it, or the other one.",
        )


@rule(
    "FB-CFG-004",
    "Configuration with which the server does not start",
    severity=Severity.HIGH,
    point=Point.AUDITS,
    quote=None,
    explanation="""
    The server checks some settings when it starts: the length of the encryption key (32 bytes), the length and the
    randomness of the JWT secret (4.5 bits for each character since 2026.2.3, so no secret in hexadecimal passes), TLS
    modes, addresses, backends. It refuses to start if one is wrong. A secret that is nowhere is reported as not
    checked: it may be in a variable that this check does not see (`--env-file`).
    """,
    remedy="# Correct the setting. `fluxbase -validate` of the server tries it.",
)
def server_does_not_start(facts: Facts) -> Iterator[Found | Unchecked]:
    """The server refuses a setting."""
    yield from refusals(facts.configuration)
