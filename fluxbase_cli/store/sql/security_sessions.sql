-- The statements for the security check about sessions. Only the system's own views are read.

-- name: sessions
-- The sessions of clients in this database, without this one. Of a session that our role may not see, the database and the
-- role are shown and the rest is NULL; client_port is -1 for a Unix socket.
SELECT a.usename::text AS role, host(a.client_addr) AS address, s.ssl AS encrypted,
       a.client_addr IS NULL AND a.client_port IS NULL AS hidden
FROM pg_stat_activity AS a
LEFT JOIN pg_stat_ssl AS s USING (pid)
WHERE a.datname = current_database() AND coalesce(a.backend_type, 'client backend') = 'client backend'
  AND a.pid <> pg_backend_pid();
