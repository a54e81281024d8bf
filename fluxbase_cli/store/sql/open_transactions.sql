-- Transactions that were open when a snapshot was taken, and may have written what the snapshot does not see.

-- name: snapshot
-- The present snapshot. All transactions below `since` had ended. None from `upto` on had ended. Between them, those in
-- `open` had not ended.
SELECT pg_snapshot_xmin(s.taken)::text::bigint AS since,
       pg_snapshot_xmax(s.taken)::text::bigint AS upto,
       ARRAY(SELECT pg_snapshot_xip(s.taken)::text::bigint) AS open
FROM (SELECT pg_current_snapshot() AS taken) AS s;

-- name: running
-- The running transactions, and which of these relations they may have written to. A transaction that writes keeps its
-- lock on the relation until it ends.
SELECT h.transactionid::text::bigint AS xid, h.pid, p.gid, coalesce(a.xact_start, p.prepared) AS since,
       extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared))::float8 AS age_s,
       ARRAY(SELECT DISTINCT n.nspname || '.' || c.relname
             FROM pg_locks AS w
             JOIN pg_class AS c ON c.oid = w.relation
             JOIN pg_namespace AS n ON n.oid = c.relnamespace
             WHERE w.virtualtransaction = h.virtualtransaction AND w.pid IS NOT DISTINCT FROM h.pid
               AND w.locktype = 'relation' AND w.granted
               AND w.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
               AND w.relation::bigint = ANY (%(relations)s::bigint[])
               AND w.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
             ORDER BY 1) AS relations
FROM pg_locks AS h
LEFT JOIN pg_prepared_xacts AS p ON h.pid IS NULL AND p.transaction = h.transactionid
LEFT JOIN pg_stat_activity AS a ON a.pid = h.pid
WHERE h.locktype = 'transactionid' AND h.mode = 'ExclusiveLock' AND h.granted;

-- name: in_recovery
SELECT pg_is_in_recovery() AS found;
