"""Runs a job: runners, workers, batches, and the catch-up passes at the end."""
