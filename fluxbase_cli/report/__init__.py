"""Counts and jobs for people and programs: terminal, JSON, YAML."""
