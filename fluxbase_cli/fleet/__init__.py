"""One command on many Fluxbase instances: the file that lists them, their processes, and their results."""
