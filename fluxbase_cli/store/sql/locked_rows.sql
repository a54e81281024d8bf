-- Who has locked a row.

-- name: holder
-- The transaction that `xmax` of a row version names: an open one, or a prepared one, which has no process.
SELECT h.pid, p.gid, coalesce(a.usename, p.owner)::text AS owner, a.application_name AS application, a.state,
       extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared))::float8 AS age_s
FROM pg_locks AS h
LEFT JOIN pg_prepared_xacts AS p ON h.pid IS NULL AND p.transaction = h.transactionid
LEFT JOIN pg_stat_activity AS a ON a.pid = h.pid
WHERE h.locktype = 'transactionid' AND h.mode = 'ExclusiveLock' AND h.granted
  AND h.transactionid = ANY (%(xids)s::xid[])
ORDER BY coalesce(a.xact_start, p.prepared)
LIMIT 1;

-- name: members
-- The transactions behind an `xmax` that names several.
SELECT array_agg(xid)::text AS xids FROM pg_get_multixact_members(%(xmax)s::xid);
