"""The calls of AWS Secrets Manager: read, make and delete a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fluxbase_cli.keyring.aws.connection import Clients, Configured
from fluxbase_cli.keyring.provider import KeyAbsentError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """The current version of a secret.

    Attributes:
        content: its text, or its bytes.
        created_at: when this version was made.
    """

    content: str | bytes = field(repr=False)
    created_at: datetime | None


class SecretsManager:
    """Calls the service in the regions of the secrets. Errors become a `ConfigurationError` for the operator.

    Args:
        environ: our environment. boto3 finds credentials in that of the process.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._clients = Clients["SecretsManagerClient"](self._environ, _make_client)

    def read(self, secret: str, region: str | None, failed: str) -> StoredSecret:
        """Read the current version (`GetSecretValue`).

        Args:
            secret: its name or ARN.
            region: its region; None: that of the environment.
            failed: what failed, the beginning of error messages.

        Raises:
            KeyAbsentError: there is no such secret, or it is marked for deletion.
            ConfigurationError: the service can't be reached or refuses.
        """
        with self._call(secret, region, failed, "GetSecretValue") as client:
            # It has a text or bytes. The types of boto3 say that it has both.
            got: Mapping[str, Any] = client.get_secret_value(SecretId=secret)
        text = got.get("SecretString")
        return StoredSecret(got["SecretBinary"] if text is None else text, got.get("CreatedDate"))

    def make(self, name: str, text: str, region: str | None, failed: str) -> bool:
        """Make a new secret (`CreateSecret`). Return False if there is one of that name; then nothing was written."""
        from botocore.exceptions import ClientError  # noqa: PLC0415  # start-up time

        from fluxbase_cli.keyring.aws.refusals import answer_of  # noqa: PLC0415  # start-up time

        with self._call(name, region, failed, "CreateSecret") as client:
            try:
                client.create_secret(Name=name, SecretString=text, Description="A key of Fluxbase, by fluxbase-cli")
            except ClientError as error:
                if answer_of(error).code == "ResourceExistsException":
                    return False
                raise
        return True

    def exists(self, secret: str, region: str | None, failed: str) -> bool:
        """Whether anything is left of the secret (`DescribeSecret`). One that is marked for deletion counts too."""
        try:
            with self._call(secret, region, failed, "DescribeSecret") as client:
                client.describe_secret(SecretId=secret)
        except KeyAbsentError:
            return False
        return True

    def delete(self, secret: str, region: str | None, failed: str) -> None:
        """Delete the secret with all its versions, without a recovery window (`DeleteSecret`). It may be gone already.

        Raises:
            ConfigurationError: it has replicas, or the service can't be reached or refuses.
        """
        try:
            with self._call(secret, region, failed, "DeleteSecret") as client:
                client.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
        except KeyAbsentError:
            return

    @contextmanager
    def _call(self, secret: str, region: str | None, failed: str, operation: str) -> Iterator[SecretsManagerClient]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # start-up time

        from fluxbase_cli.keyring.aws.refusals import Call, answer_of  # noqa: PLC0415  # start-up time
        from fluxbase_cli.keyring.aws_secrets_manager.refusals import explained, refused  # noqa: PLC0415

        call = Call(
            failed,
            operation,
            f"secretsmanager:{operation}",
            f"the secret {secret}",
            "AWS Secrets Manager",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            region,
        )
        try:
            client = self._clients.of(region)
            call = replace(call, region=client.meta.region_name, endpoint=client.meta.endpoint_url)
            yield client
        except ClientError as error:
            raise refused(answer_of(error), call) from None
        except (BotoCoreError, ValueError) as error:
            raise explained(error, call) from None


def _make_client(made: Configured) -> SecretsManagerClient:
    return made.session.client("secretsmanager", region_name=made.region, config=made.config)
