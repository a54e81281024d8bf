"""The work itself: plan, read, reseal, write, record; the worker pool; the census."""
