"""fluxbase-cli: change the key that seals the secrets of a Fluxbase database."""

__version__ = "0.2.0"
