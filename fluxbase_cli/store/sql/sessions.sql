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
  AND (application_name IS NULL
       OR (application_name <> 'fluxbase-cli' AND NOT starts_with(application_name, 'fluxbase-cli: ')))
ORDER BY backend_start, pid;

-- name: free
-- The limits of the server, the role and the database, and how much of each is used. Connections that are kept for
-- superusers and for pg_use_reserved_connections (from version 16 on) are not counted as free.
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true)::int, 0) AS server_limit,
       (SELECT count(*) FROM pg_stat_activity WHERE coalesce(backend_type, 'client backend') = 'client backend'
            AND usesysid IS NOT NULL)::int AS server_used,
       r.rolname AS role, r.rolsuper AS superuser, r.rolconnlimit AS role_limit,
       (SELECT count(*) FROM pg_stat_activity WHERE usesysid = r.oid)::int AS role_used,
       d.datname AS database, d.datconnlimit AS database_limit,
       (SELECT count(*) FROM pg_stat_activity WHERE datid = d.oid AND usesysid IS NOT NULL)::int AS database_used
FROM pg_roles AS r, pg_database AS d
WHERE r.rolname = session_user AND d.datname = current_database();

-- name: waits_for_standby
-- Our sessions whose commit waits for a synchronous standby, for more than a second.
SELECT count(*)::int AS waiting, current_setting('synchronous_standby_names') AS wanted,
       (SELECT count(*)::int FROM pg_stat_replication) AS connected
FROM pg_stat_activity
WHERE datname = current_database() AND usename = session_user
  AND application_name = current_setting('application_name')
  AND wait_event = 'SyncRep' AND clock_timestamp() - query_start > interval '1 second';
