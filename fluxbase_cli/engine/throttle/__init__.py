"""How fast a job may go."""
