"""Traces and metrics for an OpenTelemetry collector. Nothing here is imported unless the environment asks for it."""
