"""Shows and controls a job from another process: status, watch, pause, tune, vacuum."""
