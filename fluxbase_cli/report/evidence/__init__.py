"""Reports of jobs and rotations as Markdown and as HTML."""
