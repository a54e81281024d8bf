"""Plan files: what a job would do, written to a file, approved by somebody, and then run as it was approved."""
