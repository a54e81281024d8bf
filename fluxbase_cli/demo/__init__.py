"""The story of a key rotation on a private PostgreSQL: server, tables, rows."""
