"""The provider `aws_kms`: keys that are kept wrapped by a key of AWS KMS. AWS KMS unwraps them once for each run."""

from fluxbase_cli.keyring.aws_kms.provider import AwsKmsKeyProvider

__all__ = ["AwsKmsKeyProvider"]
