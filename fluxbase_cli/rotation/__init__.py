"""The rotation that happens by itself: when it is due, its steps, whom it tells, and the daemon that waits for it."""
