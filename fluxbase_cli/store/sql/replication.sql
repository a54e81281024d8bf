-- How far standbys and other receivers of this server's WAL are. `store/replication.py` is the only place where a name
-- meets a function.

-- name: is_standby
SELECT pg_is_in_recovery();

-- name: position
-- The position of the next WAL record. All that was committed before is at a lower position.
SELECT pg_current_wal_insert_lsn()::text;

-- name: push
-- WAL is sent only after it is flushed. A transaction of this session makes the WAL writer flush all WAL before it.
SELECT pg_current_xact_id();

-- name: receivers
-- A role that may not see other sessions' statistics sees the name and the pid, and NULL as the state. A receiver that
-- only stores WAL has no replay_lsn. Without a slot it reports no flush_lsn either.
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
-- A logical slot decodes one database. Slots of databases that hold no sealed values do not matter.
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
-- The events of jobs that name the standbys that were connected then. The oldest first.
SELECT at, detail -> 'standbys' AS standbys, detail -> 'forgotten' AS forgotten
FROM fluxbase_rotation.event
WHERE detail ?| ARRAY['standbys', 'forgotten']
ORDER BY id;

-- name: seen_by_keys
-- The same of the events of keys: also standbys that were removed and must be forgotten.
SELECT at, detail -> 'standbys' AS standbys, detail -> 'forgotten' AS forgotten
FROM fluxbase_keys.event
WHERE detail ?| ARRAY['standbys', 'forgotten']
ORDER BY id;
