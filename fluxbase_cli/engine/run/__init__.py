"""A job at work: runners, workers, batches, and the catch-up at the end."""
