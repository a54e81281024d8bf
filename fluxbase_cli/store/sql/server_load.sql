-- The load of the server: standbys and checkpoints. `store/server_load.py` is the only place where a name meets a
-- function.

-- name: standbys
-- A role that may not see other sessions' statistics sees a row with NULL as the state. A base backup replays nothing,
-- and a receiver that only stores WAL has no replay_lsn.
SELECT r.application_name AS name, r.state IS NULL AS hidden,
       pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS written,
       pg_wal_lsn_diff(r.replay_lsn, '0/0')::bigint AS replayed,
       extract(epoch FROM r.replay_lag)::double precision AS lag_s
FROM pg_stat_replication AS r
WHERE r.state IS NULL OR (r.state <> 'backup' AND r.replay_lsn IS NOT NULL);

-- name: sees_standbys
SELECT pg_has_role('pg_read_all_stats', 'USAGE');

-- name: checkpoints
-- PostgreSQL 17 moved the counter to another view.
SELECT num_requested AS requested, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS written
FROM pg_stat_checkpointer;

-- name: checkpoints_before_17
SELECT checkpoints_req AS requested, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS written
FROM pg_stat_bgwriter;
