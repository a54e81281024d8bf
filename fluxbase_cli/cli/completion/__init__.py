"""Completion in bash, zsh and fish: the scripts, and the words that they ask for."""
