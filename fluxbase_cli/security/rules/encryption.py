"""Rules on the encryption key, its strength, and its rotation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from fluxbase_cli.config.server import SERVER_KEY_VARIABLE
from fluxbase_cli.keyring.weakness import SAMPLE_KEYS, weakness_of
from fluxbase_cli.security.configuration.reading import Setting
from fluxbase_cli.security.configuration.secrets import is_reference
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, NotCheckedError, Place, Severity, Unchecked
from fluxbase_cli.security.keys import KeyFacts, KnownKey
from fluxbase_cli.security.rule import Point, rule

_ROTATE = """
fluxbase-cli keys generate --store    # a new key where your keys are kept
fluxbase-cli rotation run --force     # moves all values to it; the server is stopped meanwhile
"""
_QUARTER, _YEAR = timedelta(days=90), timedelta(days=365)


@rule(
    "FB-ENC-001",
    "Encryption key is published",
    severity=Severity.CRITICAL,
    point=Point.KEY_ROTATION,
    quote="Generate 256-bit key",
    explanation="""
    The key is one of the samples in the server's repository or documentation. Anybody who gets a copy of the
    database, from a backup for example, opens all secrets in it. The server accepts these samples.
    """,
    remedy=_ROTATE,
)
def encryption_key_is_published(facts: Facts) -> Iterator[Found]:
    """A key is a published sample."""
    for place, secret in _keys(facts):
        if secret in SAMPLE_KEYS:
            yield Found(place, "it is a sample that anybody can look up")


@rule(
    "FB-ENC-002",
    "Encryption key is easy to guess",
    severity=Severity.HIGH,
    point=Point.KEY_ROTATION,
    quote="Generate 256-bit key",
    explanation="""
    The key has the right length, but it repeats, counts, is made of words, or is the name of a key and not a key. A key
    must be random: with a copy of the database anybody can try keys at home.
    """,
    remedy=_ROTATE,
)
def encryption_key_is_weak(facts: Facts) -> Iterator[Found]:
    """A key is a pattern."""
    for place, secret in _keys(facts):
        if secret in SAMPLE_KEYS or is_reference(secret.decode("utf-8", "replace")):
            continue
        reason = weakness_of(secret)
        if reason is not None:
            yield Found(place, reason)


def _keys(facts: Facts) -> Iterator[tuple[Place, bytes]]:
    """The server's key and all keys of the key ring, each once."""
    told: set[bytes] = set()
    server = _server_key(facts)
    if server is not None:
        secret = server.text.encode("utf-8", "surrogateescape")
        told.add(secret)
        yield server.place, secret
    try:
        keys: tuple[KnownKey, ...] = facts.keys.all
    except NotCheckedError:
        # The server's key alone is enough where there are no others.
        if server is None:
            raise
        return
    for key in keys:
        if key.secret not in told:
            told.add(key.secret)
            yield key.place, key.secret


def _server_key(facts: Facts) -> Setting | None:
    try:
        return facts.configuration.get("encryption_key")
    except NotCheckedError:
        return None


@rule(
    "FB-ENC-003",
    "No rotation of the encryption key is planned",
    severity=Severity.LOW,
    point=Point.KEY_ROTATION,
    quote="Implement key rotation procedures",
    explanation="""
    There is no second key version and no schedule. A rotation that was tried out once is quick on the day on which the
    key has leaked. It is no finding if a schedule is enabled or if a rotation was run.
    """,
    remedy="""
    fluxbase-cli rotation plan    # what a rotation would do here, and what is missing for it
    """,
)
def no_rotation_is_planned(facts: Facts) -> Iterator[Found | Unchecked]:
    """One key, no schedule and no rotation so far."""
    keys = facts.keys
    if keys.is_scheduled or keys.versions > 1:
        return
    if keys.rotated is None:
        yield Unchecked("whether a rotation was ever run: the database says so, and it was not looked at")
        return
    if not keys.rotated:
        yield Found(
            Place("setting", "security.encryption.key_rotation", "security.encryption.key_rotation"),
            "there is one key version, no schedule, and no rotation was ever run",
        )


@rule(
    "FB-ENC-004",
    "Encryption key is old",
    severity=Severity.MEDIUM,
    point=Point.KEY_ROTATION,
    quote="Rotate keys quarterly",
    explanation="""
    The longer a key is used, the more copies of it exist: in backups, in environments, with people who have left.
    More than 90 days is medium, more than a year high. The age is counted from the day on which the key came into
    use, as far as the database records it.
    """,
    remedy=_ROTATE,
)
def encryption_key_is_old(facts: Facts) -> Iterator[Found]:
    """The active key is in use for long."""
    keys = facts.keys
    since = keys.active_since
    if since is None:
        raise NotCheckedError("the database does not record since when the key is in use")
    age = keys.now - since
    if age > _QUARTER:
        version = "the active key" if keys.active is None else f"key version {keys.active}"
        severity = Severity.HIGH if age > _YEAR else Severity.MEDIUM
        yield Found(_active_place(keys), f"{version} is in use for {age.days} days", severity)


@rule(
    "FB-ENC-005",
    "Values are left under an old key, or unsealed",
    severity=Severity.HIGH,
    point=Point.KEY_ROTATION,
    quote="Verify re-encryption completed",
    explanation="""
    A rotation is done when no value needs the old key. The newest re-encryption did not end, or left values, or values
    that no key opens. Nothing is opened here: `secrets audit` does that. Client secrets of OAuth providers that are
    stored without a seal are reported too; the server seals them when it starts.
    """,
    remedy="""
    fluxbase-cli secrets audit     # what is sealed under which key
    fluxbase-cli secrets status    # the newest job; `secrets re-encrypt` continues it
    """,
)
def values_are_left(facts: Facts) -> Iterator[Found]:
    """The newest job did not complete, or a client secret is in plain text."""
    keys = facts.keys
    if keys.unfinished is not None:
        yield Found(Place("job", "newest", f"job {keys.unfinished.number}"), keys.unfinished.text)
    for table, number in keys.plain_client_secrets.items():
        yield Found(
            Place("table", table),
            f"{number} client secrets are stored without a seal",
            None,
            "# Restart the server: it seals them. Then: fluxbase-cli secrets audit",
        )


@rule(
    "FB-ENC-006",
    "The server's key is not the active key",
    severity=Severity.HIGH,
    point=Point.KEY_ROTATION,
    quote="Update active_key_version",
    explanation="""
    A released server knows one key, FLUXBASE_ENCRYPTION_KEY. If the active version of the key ring is another key, the
    server seals new values under the old one and can't read those that were moved.
    """,
    remedy=f"""
    {SERVER_KEY_VARIABLE}=…    # the key of the active version; then restart the server
    """,
)
def server_has_another_key(facts: Facts) -> Iterator[Found]:
    """`encryption_key` is another version than the active one."""
    keys = facts.keys
    if keys.server_version is not None and keys.active is not None and keys.server_version != keys.active:
        yield Found(
            _active_place(keys), f"the server has key version {keys.server_version}, and {keys.active} is active"
        )


def _active_place(keys: KeyFacts) -> Place:
    active = next((each for each in keys.all if each.version == keys.active), None)
    return Place("key", "active", "active key" if active is None else str(active.place))
