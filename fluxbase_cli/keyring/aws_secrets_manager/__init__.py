"""The provider `aws_secrets_manager`: keys that are secrets in AWS Secrets Manager."""

from fluxbase_cli.keyring.aws_secrets_manager.provider import AwsSecretsManagerKeyProvider

__all__ = ["AwsSecretsManagerKeyProvider"]
