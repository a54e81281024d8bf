"""Reports of jobs and rotations for change tickets and auditors, and their signatures."""
