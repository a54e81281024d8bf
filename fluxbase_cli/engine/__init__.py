"""Runs the jobs and the audit: plan, read, reseal, write and record, with a pool of workers."""
