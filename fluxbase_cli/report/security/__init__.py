"""The security check for people and for programs."""
