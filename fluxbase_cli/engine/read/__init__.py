"""Reads every value without writing: for the audit and the dry run."""
