"""The locations of sealed values: those of each release, and those that an operator adds."""
