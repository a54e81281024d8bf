"""Looking at a job from outside: status, watch, pause, tune, vacuum."""
