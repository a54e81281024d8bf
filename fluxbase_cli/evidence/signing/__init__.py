"""Signatures of reports: in-toto statements in DSSE envelopes, signed by a key in a file, in Vault or in AWS KMS."""
