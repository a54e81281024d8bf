"""fluxbase.yaml, .env and the environment become typed, frozen settings.

What the server reads is read as the server does (FLUXBASE.md, "Configuration the server reads"); what is new is the
versioned keyring (DESIGN.md, section 2). Keys are found here, with their places; what they are worth is the keyring's
business. Every error names a place and never a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from fluxbase_cli.config.address import describe_address, is_address
from fluxbase_cli.config.document import Section, Text, boolean, integer
from fluxbase_cli.config.secret import Secret
from fluxbase_cli.config.sources import Variables, find_config, read_config, read_variables
from fluxbase_cli.errors import ConfigurationError

SYSTEM_DIRECTORY = Path("/etc/fluxbase")

# A version is stored in a PostgreSQL integer.
_MAX_VERSION = 2**31 - 1
_MAX_PORT = 65535
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_DATABASE_DEFAULTS = {
    "host": "localhost",
    "port": "5432",
    "user": "postgres",
    "password": "postgres",
    "database": "fluxbase",
    "ssl_mode": "disable",
}
_SECRET_KEY_PREFIX = "FLUXBASE_SECRET_KEY_"  # noqa: S105  # a name
_DIGITS = re.compile(r"[0-9]{1,18}")
_VAULT_TEMPLATE = re.compile(r"\s*\{\{-?\s*vault\b")
_ENTRY_FIELDS = frozenset({"version", "key", "ciphertext", "provider"})
_SECRET_OPTION = re.compile(r"pass|secret|token|credential|private|(?:^|_)key$")


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key as it is configured: where it is, and how to get it.

    Args:
        version: its version, from 1.
        provider: the name of the provider that makes a key of ``value``.
        source: where it stands; a place, never a value.
        value: the key itself, a Vault reference or a KMS ciphertext, as configured.
        options: the other fields of its entry, for the provider. Hidden are those whose name says that they are secret,
            and those with a ``${VAR}``.
    """

    version: int
    provider: str
    source: str
    value: Secret
    options: Mapping[str, str | Secret] = field(default_factory=lambda: MappingProxyType({}), hash=False)


@dataclass(frozen=True, slots=True)
class KeyRotationSettings:
    """The scheduled rotation, ``security.encryption.key_rotation``.

    Args:
        enabled: whether it is on.
        schedule: when, as written.
        auto_reencrypt: whether values are re-encrypted after a new key was made.
        retain_old_keys: how many old keys to keep.
        notification_webhook: whom to tell. Not in ``repr``, since such URLs often hold a token.
    """

    enabled: bool = False
    schedule: str | None = None
    auto_reencrypt: bool = False
    retain_old_keys: int | None = None
    notification_webhook: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EncryptionSettings:
    """Where the keys are and which of them is the active one, ``security.encryption``.

    Args:
        provider: the provider of keys that do not say another; None when not configured.
        active_key_version: the version that new values are sealed under; None when not configured.
        keys: all keys, sorted by version.
        kms_key_id: the KMS key that wraps them.
        key_rotation: the scheduled rotation.
    """

    provider: str | None
    active_key_version: int | None
    keys: tuple[KeyEntry, ...]
    kms_key_id: str | None = None
    key_rotation: KeyRotationSettings = field(default_factory=KeyRotationSettings)


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """How to reach the database.

    Args:
        host: the server; this and the following are empty when ``url`` is set, which tells them all.
        port: its port.
        user: the role: ``admin_user``, else ``user``.
        password: its password; may be empty.
        database: the database's name.
        ssl_mode: libpq's ``sslmode``.
        url: a libpq connection string, which beats all of these.
        source: where these settings stand; a place, never a value.
    """

    host: str
    port: int
    user: str
    password: Secret
    database: str
    ssl_mode: str
    url: Secret | None = None
    source: str = "the defaults"

    def connection_parameters(self) -> dict[str, str | int]:
        """What psycopg connects with; holds the password in the clear."""
        if self.url is not None:
            return {"conninfo": self.url.reveal()}
        parameters: dict[str, str | int] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "dbname": self.database,
            "sslmode": self.ssl_mode,
        }
        if self.password:
            parameters["password"] = self.password.reveal()
        return parameters

    def describe(self) -> str:
        """The database as ``user@host:port/database``, never with a password."""
        if self.url is None:
            return f"{self.user}@{self.host}:{self.port}/{self.database}"
        return describe_address(self.url.reveal()) or f"the database of {self.source}"


@dataclass(frozen=True, slots=True)
class Settings:
    """All that is configured.

    Args:
        config_file: the fluxbase.yaml that was read, if any.
        env_file: the .env file that was read, if any.
        database: how to reach the database.
        encryption: the keys.
        warnings: what an operator should know, one line each.
    """

    config_file: Path | None
    env_file: Path | None
    database: DatabaseSettings
    encryption: EncryptionSettings
    warnings: tuple[str, ...] = ()


def load_settings(
    *,
    config: Path | None,
    database_url: str | None,
    directory: Path,
    environ: Mapping[str, str],
    system_directory: Path = SYSTEM_DIRECTORY,
) -> Settings:
    """Read the configuration.

    Args:
        config: a fluxbase.yaml that must exist; None searches for one.
        database_url: a connection string that beats all configured ones.
        directory: the working directory; relative paths start here.
        environ: the environment.
        system_directory: where the system's fluxbase.yaml is.

    Returns:
        The settings. No key at all is no error here.

    Raises:
        ConfigurationError: something configured can't be used; the message names its place and never its value.
    """
    variables, env_file = read_variables(directory, environ)
    found = find_config(config, directory, system_directory)
    root = Section(found.label if found else "fluxbase.yaml", "", read_config(found) if found else {}, variables)
    warnings: list[str] = []
    return Settings(
        config_file=found.path if found else None,
        env_file=env_file,
        database=_database(root, variables, database_url),
        encryption=_encryption(root, variables, warnings),
        warnings=tuple(warnings),
    )


def _setting(section: Section, name: str, variables: Variables, prefix: str) -> Text | None:
    """A setting from its ``FLUXBASE_`` variable, else from the file."""
    variable = variables.get(f"{prefix}_{name.upper()}")
    return Text(variable.value, variable.place) if variable else section.text(name)


def _database(root: Section, variables: Variables, database_url: str | None) -> DatabaseSettings:
    variable = variables.get("FLUXBASE_DATABASE_URL")
    if database_url:
        return _of_url(Text(database_url, "--database-url"))
    if variable:
        return _of_url(Text(variable.value, variable.place))

    section = root.section("database")
    places: dict[str, None] = {}

    def read(*names: str) -> Text:
        for name in names:
            text = _setting(section, name, variables, "FLUXBASE_DATABASE")
            if text is not None:
                # One word for all that stands in the file's section.
                places[section.here if text.place == section.place(name) else text.place] = None
                return text
        return Text(_DATABASE_DEFAULTS[names[-1]], "the defaults")

    host = read("host").value
    port = integer(read("port"), least=1, most=_MAX_PORT)
    user = read("admin_user", "user").value
    password = Secret(read("admin_password", "password").value)
    database = read("database").value
    ssl_mode = read("ssl_mode")
    if ssl_mode.value not in _SSL_MODES:
        raise ConfigurationError(f"{ssl_mode.source}: must be one of {', '.join(_SSL_MODES)}")
    source = ", ".join(places) or "the defaults"
    return DatabaseSettings(host, port, user, password, database, ssl_mode.value, source=source)


def _of_url(url: Text) -> DatabaseSettings:
    if not is_address(url.value):
        raise ConfigurationError(
            f"{url.place}: is not the address of a PostgreSQL database",
            hint="It looks like postgresql://user:password@host:5432/database, or host=... dbname=....",
        )
    return DatabaseSettings("", 0, "", Secret(""), "", "", url=Secret(url.value), source=url.place)


def _encryption(root: Section, variables: Variables, warnings: list[str]) -> EncryptionSettings:
    section = root.section("security").section("encryption")
    prefix = "FLUXBASE_SECURITY_ENCRYPTION"
    provider = _setting(section, "provider", variables, prefix)
    provider_name = provider.value.strip().lower() if provider else None
    kms_key_id = _setting(section, "kms_key_id", variables, prefix)
    keys = _keys(root, section, variables, provider_name, warnings)

    active = _setting(section, "active_key_version", variables, prefix)
    active_version = None
    if active is not None:
        active_version = _version(active)
        if keys and active_version not in {key.version for key in keys}:
            versions = ", ".join(str(key.version) for key in keys)
            raise ConfigurationError(
                f"{active.source}: there is no key of version {active_version} (configured: {versions})"
            )
    return EncryptionSettings(
        provider=provider_name,
        active_key_version=active_version,
        keys=keys,
        kms_key_id=kms_key_id.value if kms_key_id else None,
        key_rotation=_key_rotation(section.section("key_rotation"), variables, f"{prefix}_KEY_ROTATION"),
    )


def _key_rotation(section: Section, variables: Variables, prefix: str) -> KeyRotationSettings:
    def read(name: str) -> Text | None:
        return _setting(section, name, variables, prefix)

    enabled, auto_reencrypt = read("enabled"), read("auto_reencrypt")
    schedule, retain, webhook = read("schedule"), read("retain_old_keys"), read("notification_webhook")
    return KeyRotationSettings(
        enabled=boolean(enabled) if enabled else False,
        schedule=schedule.value if schedule else None,
        auto_reencrypt=boolean(auto_reencrypt) if auto_reencrypt else False,
        retain_old_keys=integer(retain, least=0, most=_MAX_VERSION) if retain else None,
        notification_webhook=webhook.value if webhook else None,
    )


def _version(text: Text) -> int:
    return integer(text, least=1, most=_MAX_VERSION)


def _keys(
    root: Section, section: Section, variables: Variables, provider: str | None, warnings: list[str]
) -> tuple[KeyEntry, ...]:
    """The keys of the first of the three places that has any; a warning for what the other two have."""
    in_file = [_entry(entry, provider) for entry in section.sections("keys")]
    in_variables = [
        variable
        for variable in variables.starting_with(_SECRET_KEY_PREFIX)
        if _is_version(variable.name, variable.place, warnings)
    ]
    single = variables.get("FLUXBASE_ENCRYPTION_KEY")

    if in_file:
        keys, used = in_file, section.place("keys")
        unused = [variable.place for variable in in_variables if variable.name not in variables.used]
    elif in_variables:
        keys = [
            _of_text(_version_of_name(variable.name, variable.place), Text(variable.value, variable.place), provider)
            for variable in in_variables
        ]
        used, unused = f"{_SECRET_KEY_PREFIX}<version>", []
    else:
        text = Text(single.value, single.place) if single else root.secret_text("encryption_key")
        return () if text is None else (_of_text(1, text, provider),)

    if single is not None and single.name not in variables.used:
        unused.append(single.place)
    if root.has("encryption_key"):
        unused.append(root.place("encryption_key"))
    warnings += [f"{place}: is not used, since the keys are taken from {used}" for place in unused]
    return _sorted(keys)


def _sorted(keys: Iterable[KeyEntry]) -> tuple[KeyEntry, ...]:
    by_version: dict[int, KeyEntry] = {}
    for key in keys:
        other = by_version.setdefault(key.version, key)
        if other is not key:
            raise ConfigurationError(f"key version {key.version} is configured twice: {other.source} and {key.source}")
    return tuple(by_version[version] for version in sorted(by_version))


def _is_version(name: str, place: str, warnings: list[str]) -> bool:
    suffix = name.removeprefix(_SECRET_KEY_PREFIX)
    if _DIGITS.fullmatch(suffix):
        return True
    warnings.append(f"{place}: is not used, since its name does not end with a version number")
    return False


def _version_of_name(name: str, place: str) -> int:
    return _version(Text(name.removeprefix(_SECRET_KEY_PREFIX), f"{place}: the version in the name"))


def _of_text(version: int, text: Text, provider: str | None) -> KeyEntry:
    """A key that is one text, without an entry of its own."""
    return KeyEntry(version, _provider_by_form(text, provider), text.source, Secret(text.value))


def _provider_by_form(text: Text, provider: str | None) -> str:
    return "vault" if _VAULT_TEMPLATE.match(text.value) else provider or "env"


def _entry(entry: Section, provider: str | None) -> KeyEntry:
    version = entry.text("version") if entry.is_number("version") else None
    if version is None:
        state = "must be a whole number from 1" if entry.has("version") else "is missing"
        raise ConfigurationError(f"{entry.place('version')}: {state}")
    key, ciphertext = entry.secret_text("key"), entry.secret_text("ciphertext")
    if key is not None and ciphertext is not None:
        raise ConfigurationError(f"{entry.here}: has both `key:` and `ciphertext:`; one of them must go")
    text = key or ciphertext
    if text is None:
        raise ConfigurationError(f"{entry.here}: has neither `key:` nor `ciphertext:`")
    explicit = entry.text("provider")
    if explicit is not None:
        name = explicit.value.strip().lower()
    elif ciphertext is not None:
        name = "aws_kms"
    else:
        name = _provider_by_form(text, provider)
    return KeyEntry(_version(version), name, text.source, Secret(text.value), _options(entry))


def _options(entry: Section) -> Mapping[str, str | Secret]:
    options: dict[str, str | Secret] = {}
    for name in entry.others(_ENTRY_FIELDS):
        text = entry.text(name)
        if text is not None:
            hidden = bool(text.references) or _SECRET_OPTION.search(name)
            options[name] = Secret(text.value) if hidden else text.value
    return MappingProxyType(options)
