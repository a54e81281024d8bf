"""The configuration as the server reads it."""
