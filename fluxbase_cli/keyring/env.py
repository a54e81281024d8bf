"""The provider `env`: keys that are in the configuration or the environment as text.

If the server's own file is configured (`security.encryption.server.env_file`), it can also make keys: they are written
to that file as `FLUXBASE_SECRET_KEY_<version>`, beside the server's `FLUXBASE_ENCRYPTION_KEY`.
"""

from __future__ import annotations

from pathlib import Path

from fluxbase_cli import seal
from fluxbase_cli.config import KeyEntry, Secret
from fluxbase_cli.config.provider_traits import TEXT_PROVIDER
from fluxbase_cli.config.server import SERVER_KEY_VARIABLE
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.env_file import CantChangeError, change_variables, read_variables, refuse
from fluxbase_cli.keyring.material import generate_key, parse_key
from fluxbase_cli.keyring.provider import CreatedKey, KeyElsewhereError, KeyProvider, ProviderContext


def env_provider(context: ProviderContext) -> KeyProvider:
    """Make the provider: with the server's own file if one is configured."""
    path = context.encryption.server.env_file
    return EnvKeyProvider() if path is None else EnvFileKeyProvider(context, path)


class EnvKeyProvider:
    """Reads the key from the entry itself. `${VAR}` is expanded before that."""

    def fetch(self, entry: KeyEntry) -> bytes:
        """Return the entry's key (see `fluxbase_cli.keyring.material.parse_key`)."""
        return parse_key(entry.value.reveal(), entry.source)


class EnvFileKeyProvider(EnvKeyProvider):
    """Also makes keys in the server's own file, and removes them there.

    Args:
        context: the configuration.
        path: the file.
    """

    def __init__(self, context: ProviderContext, path: Path) -> None:
        self._context = context
        self._path = path

    def create(self, version: int, known: tuple[KeyEntry, ...]) -> CreatedKey:
        """Make a new key in the file. The key that the server has now is kept there too, under its version.

        Raises:
            ConfigurationError: the file has a key of that version, is not used as a source of keys, or can't be
                changed.
        """
        self._refuse_if_unused(version)
        text = generate_key(self._context.encoding)
        name = variable_of(version)
        changes: dict[str, str | None] = {name: text}
        server = self._context.encryption.server_key
        for entry in known:
            if server is not None and entry.source == server.source:
                changes[variable_of(entry.version)] = entry.value.reveal()
        try:
            there = read_variables(self._path)
            if there.get(name):
                raise ConfigurationError(
                    f"there is a key of version {version} already: {self._path}: {name}",
                    hint="Choose another version, or remove that line if nothing needs the key.",
                )
            change_variables(self._path, changes, after=SERVER_KEY_VARIABLE)
        except CantChangeError as error:
            raise refuse(self._path, error, "No key was made. Correct that, then run the command again.") from None
        source = f"{self._path}: {name}"
        entry = KeyEntry(version, TEXT_PROVIDER, source, Secret(text))
        return CreatedKey(entry, seal.fingerprint(parse_key(text, source)), {})

    def exists(self, entry: KeyEntry) -> bool:
        """Whether a key of that version is in the file.

        Raises:
            ConfigurationError: the file can't be read.
        """
        try:
            return bool(read_variables(self._path).get(variable_of(entry.version)))
        except CantChangeError as error:
            raise refuse(self._path, error, "Remove the key's line by hand.") from None

    def destroy(self, entry: KeyEntry) -> None:
        """Remove the key's line from the file.

        Raises:
            KeyElsewhereError: the key is in another place.
            ConfigurationError: the file can't be changed.
        """
        try:
            if not self._is_in_file(entry):
                raise KeyElsewhereError(f"the key of version {entry.version} is at {entry.source}")
            change_variables(self._path, {variable_of(entry.version): None})
        except CantChangeError as error:
            raise refuse(self._path, error, "Remove the key's line by hand.") from None

    def _refuse_if_unused(self, version: int) -> None:
        if self._context.encryption.lists_keys:
            raise ConfigurationError(
                f"key version {version} can't be made in {self._path}: security.encryption.keys is the keyring, and "
                "variables are not used beside it",
                hint="Remove security.encryption.keys and keep the keys as FLUXBASE_SECRET_KEY_<version> in that file, "
                "or use a provider that makes keys: an entry `key_file: PATH`, or `provider: vault`, vault_transit, "
                "aws_kms or aws_secrets_manager.",
            )

    def _is_in_file(self, entry: KeyEntry) -> bool:
        if entry.source.startswith("environment: "):
            return False
        there = read_variables(self._path).get(variable_of(entry.version))
        return there is not None and Secret(there) == entry.value


def variable_of(version: int) -> str:
    """The variable of a version's key."""
    return f"FLUXBASE_SECRET_KEY_{version}"
