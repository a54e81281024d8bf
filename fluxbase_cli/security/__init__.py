"""The server's security checklist as rules: `security check`."""
