"""Rules on where secrets are, and on secrets that serve two purposes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from urllib.parse import urlsplit

from fluxbase_cli.config.document import Value
from fluxbase_cli.config.reader import variable_name
from fluxbase_cli.security.configuration.git import is_tracked
from fluxbase_cli.security.configuration.published import DATABASE_PASSWORDS, OTHER_SECRETS, is_published
from fluxbase_cli.security.configuration.reading import Origin, ServerConfiguration, Setting, setting_place, text_of
from fluxbase_cli.security.configuration.secrets import is_reference, is_secret_path
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, Severity
from fluxbase_cli.security.rule import Point, rule

#: Names of the members of a list that are secrets.
_MEMBERS = ("client_secret", "sp_private_key")


@rule(
    "FB-SEC-001",
    "Secret written into the configuration file",
    severity=Severity.MEDIUM,
    point=Point.ENVIRONMENT,
    quote="Use environment variables for secrets",
    explanation="""
    A secret in fluxbase.yaml goes wherever the file goes: into version control, images, tickets and backups. Variables
    can be given by a secrets manager. It is high if git tracks the file, because every copy of the repository has the
    secret for ever. It is info if a variable overrides the setting: then the text in the file is unused. Keys in
    `security.encryption` are checked too, if they are written out.
    """,
    remedy="# Remove it from the file, and set its variable FLUXBASE_….",
)
def secret_in_the_file(facts: Facts) -> Iterator[Found]:
    """A secret stands in fluxbase.yaml."""
    configuration = facts.configuration
    file = configuration.config_file
    tracked = file is not None and is_tracked(file.path) is True
    severity = Severity.HIGH if tracked else None
    here = "it is in the file, which git tracks" if tracked else "it is in the file"
    for path, value in sorted(configuration.leaves.items()):
        if value.is_sequence:
            yield from _members(value, here, severity)
            continue
        text = text_of(value)
        if not text or is_reference(text) or not (is_secret_path(path) or _has_password(path, text)):
            continue
        setting = configuration.get(path)
        overridden = setting is not None and setting.origin is Origin.VARIABLE
        found = "its variable overrides it, so the text in the file is unused" if overridden else here
        remedy = (
            "# Remove it from the file." if overridden else f"{variable_name(path)}=…    # and remove it from the file"
        )
        yield Found(setting_place(value), found, Severity.INFO if overridden else severity, remedy)


def _members(entries: Value, here: str, severity: Severity | None) -> Iterator[Found]:
    """Secrets in the sections of a list: providers of single sign-on, and keys of this program."""
    ours = entries.path == "security.encryption.keys"
    for entry in entries.items():
        if not entry.is_mapping:
            continue
        for name, value in entry.members().items():
            text = text_of(value)
            if text and (name in _MEMBERS or (ours and name == "key")) and not is_reference(text) and ":" not in text:
                remedy = (
                    '# key: "${NAME}", and NAME in the environment'
                    if ours
                    else "# Leave it out here, and enter it in the dashboard, which seals it."
                )
                yield Found(setting_place(value), here, severity, remedy)


def _has_password(path: str, text: str) -> bool:
    if not path.endswith(("_url", ".url", "_endpoint")):
        return False
    try:
        return bool(urlsplit(text).password)
    except ValueError:
        return False


#: What each secret is for. The two passwords of the database may be the same.
_PURPOSES = {
    "auth.jwt_secret": "JWT secret",
    "encryption_key": "encryption key",
    "security.setup_token": "setup token",
    "database.password": "database password",
    "database.admin_password": "database password",
    "security.captcha.secret_key": "CAPTCHA secret",
    "storage.s3_secret_key": "S3 secret",
    "email.smtp_password": "SMTP password",
}


@rule(
    "FB-SEC-003",
    "One secret for two purposes",
    severity=Severity.HIGH,
    point=Point.ENVIRONMENT,
    quote="Use different configurations for environments",
    explanation="""
    Who learns a secret in one place has it in the other too: signed links show what the JWT secret signs, the setup
    token is typed into a browser, database passwords are in many configurations. Each purpose needs a secret of its
    own. With `--compare FILE`, the same is checked against the configuration of another environment.
    """,
    remedy="# Make a new secret for one of them: openssl rand -base64 48",
)
def secret_for_two_purposes(facts: Facts) -> Iterator[Found]:
    """Two secrets are equal."""
    configuration = facts.configuration
    by_text: dict[str, list[Setting]] = defaultdict(list)
    for setting in _own_secrets(configuration):
        by_text[setting.text].append(setting)
    for settings in by_text.values():
        purposes = {_PURPOSES[each.path] for each in settings}
        if len(purposes) > 1:
            yield Found(settings[0].place, f"it is the {' and the '.join(sorted(purposes))}")
    for label, other in facts.compared:
        theirs = {each.path: each.text for each in _own_secrets(other)}
        for setting in _own_secrets(configuration):
            if theirs.get(setting.path) == setting.text:
                yield Found(setting.place, f"the {_PURPOSES[setting.path]} is the same as in {label}")


def _own_secrets(configuration: ServerConfiguration) -> Iterator[Setting]:
    for path in _PURPOSES:
        setting = configuration.get(path)
        # A published sample has a rule of its own.
        if setting is None or setting.is_default or is_reference(setting.text):
            continue
        if not is_published(setting.text, DATABASE_PASSWORDS | OTHER_SECRETS):
            yield setting
