-- The sessions of others: those of a server that still runs, and of everybody else.

-- name: others
-- Of the sessions of other roles, a role without pg_monitor sees the role and the database only, so a NULL counts as a
-- client.
SELECT pid, usename AS role, datname AS database, application_name, host(client_addr) AS address, state
FROM pg_stat_activity
WHERE datname = ANY (%(databases)s::text[])
  AND pid <> pg_backend_pid()
  AND usesysid IS NOT NULL
  AND coalesce(backend_type, 'client backend') = 'client backend'
  AND application_name IS DISTINCT FROM current_setting('application_name')
ORDER BY backend_start, pid;
