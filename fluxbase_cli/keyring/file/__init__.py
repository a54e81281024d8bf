"""The provider `file`: keys in files, such as Docker and Kubernetes secrets and systemd credentials."""

from fluxbase_cli.keyring.file.provider import FileKeyProvider
from fluxbase_cli.keyring.file.writing import write_new

__all__ = ["FileKeyProvider", "write_new"]
