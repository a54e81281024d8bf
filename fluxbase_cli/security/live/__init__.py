"""What rules read from the live server: a few requests without credentials."""
