"""Which key `--sign` names: a file, `vault-transit:[MOUNT/]NAME`, or `aws-kms:KEY`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from fluxbase_cli.config import Secret, Settings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.evidence.signing.signer import Signer

_VAULT, _KMS = "vault-transit:", "aws-kms:"


def find_signer(
    named: str,
    settings: Settings,
    environ: Mapping[str, str],
    *,
    passphrase: Callable[[], Secret | None],
    warn: Callable[[str], None],
) -> Signer:
    """Find the key that `--sign` names.

    Args:
        named: the option's value.
        settings: say where Vault is, and how to log in there.
        environ: the environment, for Vault and AWS.
        passphrase: returns the passphrase of a file, if it is encrypted.
        warn: called with warnings about an unsafe connection.

    Raises:
        ConfigurationError: there is no such key, or it can't be used.
    """
    # The libraries of the services are imported only where they are used.
    if named.startswith(_VAULT):
        from fluxbase_cli.evidence.signing.vault_transit import VaultTransitSigner  # noqa: PLC0415
        from fluxbase_cli.keyring.vault.client import make_client  # noqa: PLC0415

        client = make_client(settings.encryption.vault, environ, warn)
        return VaultTransitSigner(client, _name(named, _VAULT))
    if named.startswith(_KMS):
        from fluxbase_cli.evidence.signing.aws_kms import AwsKmsSigner  # noqa: PLC0415

        return AwsKmsSigner(_name(named, _KMS), environ)
    if not named.strip():
        raise ConfigurationError(
            "--sign is empty", hint="Name an Ed25519 key in a PEM file, vault-transit:[MOUNT/]NAME, or aws-kms:KEY."
        )
    from fluxbase_cli.evidence.signing.pem import PemSigner  # noqa: PLC0415

    return PemSigner(Path(named), passphrase)


def _name(named: str, prefix: str) -> str:
    name = named.removeprefix(prefix).strip()
    if not name:
        raise ConfigurationError(
            f"--sign {prefix} names no key", hint=f"Write the key's name after {prefix}, without a space."
        )
    return name
