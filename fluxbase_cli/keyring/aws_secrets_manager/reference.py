"""References to keys in AWS Secrets Manager: the name or the ARN of a secret, and the field of a secret in JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.material import looks_like_key
from fluxbase_cli.keyring.pattern import by_pattern

_TEMPLATE = re.compile(r"\{\{\s*aws_secrets_manager\s*`(?P<place>[^`]*)`\s*\}\}")
#: The characters and the length of a secret's name (API reference of AWS Secrets Manager, CreateSecret).
_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
#: Secrets Manager adds a hyphen and six characters to the name.
_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:(?P<region>[a-z0-9-]+):[0-9]*:secret:[A-Za-z0-9/_+=.@-]{1,519}")
_HINT = 'Write key: "{{ aws_secrets_manager `fluxbase/keys/v1` }}": the name or the ARN, and `#field` if it is JSON.'


@dataclass(frozen=True, slots=True)
class Reference:
    """A secret, or a field of it.

    Attributes:
        secret: its name or ARN.
        field: the field of its JSON object that holds the key. None: the whole secret is the key.
    """

    secret: str
    field: str | None = None

    def __str__(self) -> str:
        return self.secret if self.field is None else f"{self.secret}#{self.field}"

    @property
    def template(self) -> str:
        """The reference as it is written in the configuration."""
        return f"{{{{ aws_secrets_manager `{self}` }}}}"

    @property
    def is_arn(self) -> bool:
        """Whether the secret is named by its ARN."""
        return self.secret.startswith("arn:")

    @property
    def region(self) -> str | None:
        """The region in the ARN. None for a name."""
        match = _ARN.fullmatch(self.secret)
        return match["region"] if match else None

    def successor(self, version: int, following: int) -> Reference | None:
        """The place of another version's key, by the pattern of this one (see `by_pattern`).

        None if the name does not contain the number, or if there is only an ARN: its end can't be foreseen.
        """
        name = None if self.is_arn else by_pattern(self.secret, version, following)
        return None if name is None else Reference(name, self.field)


def parse_reference(text: str, place: str) -> Reference:
    """Read a reference, ``{{ aws_secrets_manager `name#field` }}``.

    Args:
        text: the reference.
        place: where it is, for the error message.

    Raises:
        ConfigurationError: it is not a reference. The message shows nothing of it, because it may be a key.
    """
    match = _TEMPLATE.fullmatch(text.strip())
    if match is None:
        raise ConfigurationError(f"{place} is not a valid reference to AWS Secrets Manager", hint=_HINT)
    secret, hash_sign, field = match["place"].strip().partition("#")
    secret, field = secret.strip(), field.strip()
    if any(looks_like_key(part, or_raw=False) for part in (secret, field)):
        raise ConfigurationError(
            f"{place} looks like a key and not like the name of a secret; it was not sent anywhere",
            hint=f"Change a key that others can read. {_HINT}",
        )
    if not (_NAME.fullmatch(secret) or _ARN.fullmatch(secret)) or (hash_sign and not (field and field.isprintable())):
        raise ConfigurationError(f"{place} is not the name or the ARN of a secret", hint=_HINT)
    return Reference(secret, field or None)
