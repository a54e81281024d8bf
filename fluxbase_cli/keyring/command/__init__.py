"""The provider `command`: keys that a program of the operator prints, such as `op read` or `sops -d`."""

from fluxbase_cli.keyring.command.provider import CommandKeyProvider

__all__ = ["CommandKeyProvider"]
