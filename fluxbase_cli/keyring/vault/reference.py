"""References to keys in Vault: a path, which begins with the mount, and a field."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.material import looks_like_key
from fluxbase_cli.keyring.pattern import by_pattern

DEFAULT_FIELD = "key"

_TEMPLATE = re.compile(r"\{\{\s*vault\s*`(?P<place>[^`]*)`\s*\}\}")
_HINT = 'Write key: "{{ vault `secret/fluxbase/keys/v1` }}": mount, path and, if it is not `key`, `#field`.'


@dataclass(frozen=True, slots=True)
class Reference:
    """A field of a secret.

    Attributes:
        path: the path of the secret, which begins with the mount, without slashes around it.
        field: the field that holds the key.
    """

    path: str
    field: str = DEFAULT_FIELD

    def __str__(self) -> str:
        is_plain = self.field == DEFAULT_FIELD and "#" not in self.path
        return self.path if is_plain else f"{self.path}#{self.field}"

    @property
    def template(self) -> str:
        """The reference as it is written in the configuration."""
        return f"{{{{ vault `{self}` }}}}"

    def successor(self, version: int, following: int) -> Reference | None:
        """The place of another version's key, by the pattern of this one (see `by_pattern`).

        Args:
            version: the version whose key is here.
            following: the other version.

        Returns:
            None if no segment contains the number.
        """
        mount, _, rest = self.path.partition("/")
        place = by_pattern(rest, version, following)
        return None if place is None else Reference(f"{mount}/{place}", self.field)


def parse_reference(text: str, place: str) -> Reference:
    """Read a reference, ``{{ vault `mount/path#field` }}`` or a bare `mount/path#field`.

    Args:
        text: the reference.
        place: where it is, for the error message.

    Raises:
        ConfigurationError: it is not a reference. The message shows nothing of it, because it may be a key.
    """
    stripped = text.strip()
    template = _TEMPLATE.fullmatch(stripped)
    if template is None and stripped.startswith("{{"):
        raise ConfigurationError(f"{place} is not a valid reference to Vault", hint=_HINT)
    written = stripped if template is None else template["place"].strip()
    if not written:
        raise ConfigurationError(f"{place} does not say where in Vault the key is", hint=_HINT)
    path, hash_sign, field = written.rpartition("#")
    if not hash_sign:
        path, field = written, DEFAULT_FIELD
    path, field = path.strip().strip("/"), field.strip()
    in_braces = (written, field)
    if _may_be_key(text, is_bare=template is None) or any(looks_like_key(part, or_raw=False) for part in in_braces):
        raise ConfigurationError(
            f"{place} looks like a key and not like a place in Vault; it was not sent anywhere",
            hint=f"If it is the key itself, set `provider: env`. Change a key that others can read. {_HINT}",
        )
    segments = path.split("/")
    if len(segments) < 2:  # noqa: PLR2004  # a mount and a path
        raise ConfigurationError(f"{place} names no mount and path in Vault", hint=_HINT)
    # The library would resolve `.` and `..`, and so request another path.
    if not field or not written.isprintable() or not {"", ".", ".."}.isdisjoint(segments):
        raise ConfigurationError(f"{place} is not a valid place in Vault", hint=_HINT)
    return Reference(path, field)


def _may_be_key(text: str, *, is_bare: bool) -> bool:
    # Many paths have 32 characters. But without the braces, such a path looks exactly like a raw key.
    return is_bare and (looks_like_key(text) or looks_like_key(text.strip()))
