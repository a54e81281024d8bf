"""Telling other systems what a rotation does."""
