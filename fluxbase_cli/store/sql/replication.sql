-- How far standbys and other receivers of this server's WAL are. `store/replication.py` is the only place where a name
-- meets a function.

-- name: is_standby
SELECT pg_is_in_recovery();

-- name: position
-- Where the next WAL record will stand: all that was committed before stands in front of it.
SELECT pg_current_wal_insert_lsn()::text;

-- name: push
-- What was inserted and not flushed yet is not sent. A transaction of our own has the WAL writer flush all before it.
SELECT pg_current_xact_id();

-- name: receivers
-- A role that may not see other sessions' statistics sees name and pid, and the state as NULL. What only stores WAL has
-- no replay_lsn; without a slot it reports no flush_lsn either.
SELECT r.application_name AS name, r.state IS NULL AS hidden, r.replay_lsn IS NOT NULL AS replays,
       coalesce(r.replay_lsn, r.flush_lsn, r.write_lsn)::text AS lsn,
       coalesce(coalesce(r.replay_lsn, r.flush_lsn, r.write_lsn) >= %(lsn)s::pg_lsn, false) AS reached,
       extract(epoch FROM r.replay_lag)::double precision AS lag_s,
       s.slot_name::text AS slot, coalesce(s.slot_type = 'logical', false) AS logical
FROM pg_stat_replication AS r
LEFT JOIN pg_replication_slots AS s ON s.active_pid = r.pid
WHERE r.state IS DISTINCT FROM 'backup'
ORDER BY r.application_name, r.pid;

-- name: slots
-- Logical slots decode one database. Those of databases that hold no sealed values are nobody's concern.
SELECT s.slot_name::text AS name, s.slot_type = 'logical' AS logical, s.active,
       p.lsn::text AS lsn, coalesce(p.lsn >= %(lsn)s::pg_lsn, false) AS reached
FROM pg_replication_slots AS s
CROSS JOIN LATERAL (
    SELECT CASE s.slot_type WHEN 'logical' THEN s.confirmed_flush_lsn ELSE s.restart_lsn END AS lsn) AS p
WHERE s.slot_type = 'physical' OR s.database = current_database() OR s.database = ANY (%(databases)s)
ORDER BY s.slot_name;

-- name: synchronous_names
SELECT current_setting('synchronous_standby_names');

-- name: seen
-- The events that name standbys which were connected then, or were gone and are to be forgotten; the oldest first.
SELECT at, detail -> 'standbys' AS standbys, detail -> 'forgotten' AS forgotten
FROM fluxbase_rotation.event
WHERE detail ?| ARRAY['standbys', 'forgotten']
ORDER BY id;
