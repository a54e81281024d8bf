"""The scheduled rotation: when it is due, its steps, its notifications, and the daemon that runs it."""
