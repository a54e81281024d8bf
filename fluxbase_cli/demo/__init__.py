"""The demo: a key rotation on an embedded PostgreSQL, with its server, tables and rows."""
