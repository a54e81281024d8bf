"""What the server refuses when it starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from fluxbase_cli.config.reader import variable_name
from fluxbase_cli.config.server import SERVER_KEY_BYTES
from fluxbase_cli.security.configuration.known import Type, is_before
from fluxbase_cli.security.configuration.reading import ServerConfiguration, Setting
from fluxbase_cli.security.configuration.secrets import is_reference
from fluxbase_cli.security.configuration.values import entropy_per_character, go_bool, go_integer
from fluxbase_cli.security.finding import Found, Unchecked

_SSL_MODES = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
_CHOICES = {
    "database.ssl_mode": _SSL_MODES,
    "scaling.backend": frozenset({"local", "postgres", "redis"}),
    "storage.provider": frozenset({"local", "s3"}),
    "jobs.worker_mode": frozenset({"embedded", "standalone", "disabled"}),
    "logging.backend": frozenset({"postgres", "s3", "local", ""}),
    "logging.console_level": frozenset({"trace", "debug", "info", "warn", "error", ""}),
}
_POSITIVE = ("auth.jwt_expiry", "auth.refresh_expiry", "auth.magic_link_expiry", "auth.password_reset_expiry")
_REFUSED_TOKENS = frozenset(
    {"your-secret-setup-token-change-in-production", "your-secret-setup-token", "changeme", "test"}
)
_DEFAULT_SECRET = "your-secret-key-change-in-production"  # noqa: S105  # public, in the server's source
#: The server's own figures (internal/config/config.go and internal/auth/jwt.go).
_LEAST_ENTROPY = 4.5
_LEAST_LENGTH = 32
_BCRYPT = range(4, 32)
_GOOD_SECRET = "FLUXBASE_AUTH_JWT_SECRET=…    # from: openssl rand -base64 48"  # noqa: S105  # no secret
_GOOD_KEY = "FLUXBASE_ENCRYPTION_KEY=…    # from: fluxbase-cli keys generate --encoding raw"


def refusals(configuration: ServerConfiguration) -> Iterator[Found | Unchecked]:
    """What the server refuses."""
    yield from _types(configuration)
    yield from _jwt_secret(configuration)
    yield from _encryption_key(configuration)
    yield from _others(configuration)


def _types(configuration: ServerConfiguration) -> Iterator[Found]:
    """Values that the server can't convert."""
    reads: dict[Type, Callable[[Setting], object]] = {
        Type.BOOLEAN: lambda setting: go_bool(setting.text),
        Type.DURATION: configuration.duration_of,
        Type.INTEGER: lambda setting: go_integer(setting.text),
    }
    for path, known in configuration.known.items():
        if known.type not in reads or "[" in path or "{" in path:
            continue
        setting = configuration.get(path)
        if setting is None or setting.is_default or is_reference(setting.text):
            continue
        if reads[known.type](setting) is None:
            examples = {Type.BOOLEAN: "true or false", Type.DURATION: "a duration such as 15m or 168h"}
            wanted = examples.get(known.type, "a whole number")
            yield Found(setting.place, f"the server does not start: it must be {wanted}", None, f"# {path}: {wanted}")


def _jwt_secret(configuration: ServerConfiguration) -> Iterator[Found | Unchecked]:
    setting = configuration.get("auth.jwt_secret")
    if setting is None or setting.is_default:
        yield from _missing(configuration, "auth.jwt_secret", _GOOD_SECRET)
        return
    if is_reference(setting.text):
        # FB-CFG-002 says so.
        return
    if setting.text == _DEFAULT_SECRET:
        yield Found(setting.place, "the server does not start with its default secret", None, _GOOD_SECRET)
    elif not is_before(configuration.release, "2026.2.3") and entropy_per_character(setting.text) < _LEAST_ENTROPY:
        yield Found(
            setting.place,
            "the server does not start: it wants 4.5 bits of entropy for each character, and a secret in hexadecimal "
            "has at most 4",
            None,
            _GOOD_SECRET,
        )
    elif not is_before(configuration.release, "2026.3.6") and _length(setting) < _LEAST_LENGTH:
        yield Found(setting.place, "the server does not start: it wants 32 characters or more", None, _GOOD_SECRET)


def _encryption_key(configuration: ServerConfiguration) -> Iterator[Found | Unchecked]:
    setting = configuration.get("encryption_key")
    if setting is None:
        yield from _missing(configuration, "encryption_key", _GOOD_KEY)
    elif _length(setting) != SERVER_KEY_BYTES and not is_reference(setting.text):
        yield Found(
            setting.place, f"the server does not start: it has {_length(setting)} bytes and not 32", None, _GOOD_KEY
        )


def _missing(configuration: ServerConfiguration, path: str, remedy: str) -> Iterator[Found | Unchecked]:
    if configuration.complete:
        place = configuration.variable_place(variable_name(path))
        yield Found(place, "it is not set, and the server does not start without it", None, remedy)
    else:
        yield Unchecked(f"{path} is neither in the file nor in a variable that this check sees (see --env-file)")


def _others(configuration: ServerConfiguration) -> Iterator[Found]:
    for path, choices in _CHOICES.items():
        setting = configuration.get(path)
        if setting is not None and setting.text not in choices:
            names = ", ".join(sorted(each for each in choices if each))
            yield Found(setting.place, f"the server does not start: it must be one of {names}", None, f"# {path}: …")
    for path in _POSITIVE:
        duration, setting = configuration.duration(path), configuration.get(path)
        if setting is not None and duration is not None and duration.total_seconds() <= 0:
            yield Found(setting.place, "the server does not start: it must be positive", None, f"# {path}: 15m")
    token = configuration.get("security.setup_token")
    if token is not None and token.text in _REFUSED_TOKENS:
        yield Found(token.place, "the server does not start with this sample", None, "FLUXBASE_SECURITY_SETUP_TOKEN=…")
    backend = configuration.get("scaling.backend")
    if backend is not None and backend.text == "redis" and configuration.get("scaling.redis_url") is None:
        yield Found(
            backend.place, "the server does not start without scaling.redis_url", None, "FLUXBASE_SCALING_REDIS_URL=…"
        )
    cost, setting = configuration.integer("auth.bcrypt_cost"), configuration.get("auth.bcrypt_cost")
    if setting is not None and cost is not None and cost not in _BCRYPT:
        yield Found(
            setting.place, "the server does not start: it must be from 4 to 31", None, "auth:\n  bcrypt_cost: 10"
        )
    for path in ("base_url", "public_base_url"):
        setting = configuration.get(path)
        if setting is not None and _scheme(setting) not in ("http", "https"):
            yield Found(
                setting.place, "the server does not start: it must begin with http:// or https://", None, f"# {path}: …"
            )


def _scheme(setting: Setting) -> str:
    try:
        return urlsplit(setting.text).scheme
    except ValueError:
        return ""


def _length(setting: Setting) -> int:
    return len(setting.text.encode("utf-8", "surrogateescape"))
