-- What an estimate needs besides its trial run. `store/trial.py` is the only place where a name meets a function.

-- name: wal_position
-- The position in the buffers, because WAL that is committed asynchronously or rolled back is written a moment later.
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint;

-- name: next_transaction
-- The next transaction id, without using one.
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint;

-- name: wal_settings
-- The server begins a checkpoint so early that max_wal_size is reached when the checkpoint ends
-- (CalculateCheckpointSegments in src/backend/access/transam/xlog.c).
SELECT current_setting('full_page_writes')::boolean,
       (SELECT setting::bigint * 1024 * 1024 FROM pg_settings WHERE name = 'max_wal_size')
       / (1 + current_setting('checkpoint_completion_target')::double precision);
