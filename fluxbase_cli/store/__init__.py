"""Access to PostgreSQL: safe connections, the sealed columns, the progress tables."""
