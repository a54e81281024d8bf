"""Decides how fast a job may write."""
