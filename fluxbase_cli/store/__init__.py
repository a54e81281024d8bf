"""PostgreSQL: connecting safely, the sealed columns, the progress tables."""
