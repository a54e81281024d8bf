"""The provider `aws_kms`: keys that are kept wrapped by a key of AWS KMS, which opens them once per run."""

from fluxbase_cli.keyring.aws_kms.provider import AwsKmsKeyProvider

__all__ = ["AwsKmsKeyProvider"]
