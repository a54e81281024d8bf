-- The statements that jobs, shards, leases and runners are kept with. Each has a name; `store/jobs.py` is the only
-- place where a name meets a method.

-- name: unfinished_job
-- The one job that has not come to its end.
SELECT id, kind, state, from_version, to_version, reason, fingerprints, catalogue, pass,
       began::text::bigint AS began, horizon::text::bigint AS horizon, news_from::text::bigint AS news_from,
       storage, full_census, total_rows, remaining, error, created_at, finished_at,
       (to_jsonb(j) ->> 'paused_at')::timestamptz AS paused_at, to_jsonb(j) ->> 'paused_by' AS paused_by
FROM fluxbase_rotation.job AS j
WHERE state IN ('running', 'interrupted', 'failed');

-- name: get_job
SELECT id, kind, state, from_version, to_version, reason, fingerprints, catalogue, pass,
       began::text::bigint AS began, horizon::text::bigint AS horizon, news_from::text::bigint AS news_from,
       storage, full_census, total_rows, remaining, error, created_at, finished_at,
       (to_jsonb(j) ->> 'paused_at')::timestamptz AS paused_at, to_jsonb(j) ->> 'paused_by' AS paused_by
FROM fluxbase_rotation.job AS j
WHERE id = %(job)s;

-- name: list_jobs
SELECT id, kind, state, from_version, to_version, reason, fingerprints, catalogue, pass,
       began::text::bigint AS began, horizon::text::bigint AS horizon, news_from::text::bigint AS news_from,
       storage, full_census, total_rows, remaining, error, created_at, finished_at,
       (to_jsonb(j) ->> 'paused_at')::timestamptz AS paused_at, to_jsonb(j) ->> 'paused_by' AS paused_by
FROM fluxbase_rotation.job AS j
ORDER BY id DESC
LIMIT %(limit)s;

-- name: create_job
-- Beyond 2**32 transactions the 32 bits of xmin no longer name one transaction, so the census opens everything then.
INSERT INTO fluxbase_rotation.job
    (kind, from_version, to_version, reason, fingerprints, catalogue, began, horizon, storage, full_census, total_rows)
VALUES
    (%(kind)s, %(from_version)s, %(to_version)s, %(reason)s, %(fingerprints)s, %(catalogue)s,
     pg_snapshot_xmax(pg_current_snapshot()), pg_snapshot_xmin(pg_current_snapshot()), '{}',
     %(full_census)s OR pg_snapshot_xmax(pg_current_snapshot())::text::numeric >= 4294967296, %(total_rows)s)
RETURNING id;

-- name: number_from
-- The next job gets this number, or a later one. Only who may set the sequence does; others take the next number.
SELECT setval(s.name, %(number)s, false)
FROM (SELECT pg_get_serial_sequence('fluxbase_rotation.job', 'id')::regclass AS name) AS s
WHERE has_sequence_privilege(s.name, 'UPDATE')
  AND %(number)s > (SELECT coalesce(max(id), 0) FROM fluxbase_rotation.job);

-- name: newest_job
SELECT coalesce(max(id), 0) AS id FROM fluxbase_rotation.job;

-- name: is_copy
-- Whether the job was begun in another database than this one, and came here in a copy of it.
SELECT cardinality(j.storage) > 0 AND NOT EXISTS (
           SELECT FROM unnest(j.storage) AS mark
           WHERE split_part(mark, ':', 1) = (SELECT system_identifier::text FROM pg_control_system())
             AND split_part(mark, ':', 3) = (SELECT d.oid::text FROM pg_database AS d
                                             WHERE d.datname = current_database())) AS found
FROM fluxbase_rotation.job AS j WHERE j.id = %(job)s;

-- name: create_shards
-- In the transaction that created the job but in a later snapshot: whatever was committed before the job began lies
-- within the size that a relation has now.
INSERT INTO fluxbase_rotation.shard (job, pass, table_name, relation, first, upto, strides, cursor)
SELECT %(job)s, 0, r.table_name, r.relation, s.first_block << 16,
       least(s.first_block + r.shard_blocks, b.blocks) << 16, r.lanes, s.first_block << 16
FROM unnest(%(tables)s::text[], %(schemas)s::text[], %(names)s::text[], %(relations)s::text[],
            %(shard_blocks)s::bigint[], %(lanes)s::integer[])
     WITH ORDINALITY AS r (table_name, schema_name, name, relation, shard_blocks, lanes, position)
JOIN pg_namespace AS n ON n.nspname = r.schema_name
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = r.name
CROSS JOIN LATERAL (
    SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint AS blocks) AS b
CROSS JOIN LATERAL generate_series(0, b.blocks - 1, r.shard_blocks) AS s (first_block)
ORDER BY r.position, s.first_block;

-- name: set_storage
UPDATE fluxbase_rotation.job SET storage = %(storage)s WHERE id = %(job)s;

-- name: relations
SELECT DISTINCT relation FROM fluxbase_rotation.shard WHERE job = %(job)s AND pass = 0;

-- name: storage
-- What the relations' places depend on: the cluster and its timeline, the database, and the file that each relation is
-- in. A dump that is restored into another cluster may find the same numbers there for all but the first. And what fires
-- even under session_replication_role = replica: a trigger or rule that appears during a job may put back what we have
-- overwritten.
SELECT coalesce(array_agg(format('%%s:%%s:%%s:%%s:%%s%%s', (SELECT system_identifier FROM pg_control_system()),
                                 substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
                                 d.oid, c.oid, pg_relation_filenode(c.oid), f.firing) ORDER BY c.oid), '{}') AS storage
FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS r (schema_name, name)
JOIN pg_namespace AS n ON n.nspname = r.schema_name
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = r.name
CROSS JOIN pg_database AS d
CROSS JOIN LATERAL (
    SELECT coalesce(string_agg(format('/%%s', o.oid), '' ORDER BY o.oid), '') AS firing
    FROM (SELECT t.oid FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgenabled IN ('A', 'R')
          UNION ALL
          SELECT w.oid FROM pg_rewrite AS w WHERE w.ev_class = c.oid AND w.ev_enabled IN ('A', 'R')) AS o) AS f
WHERE d.datname = current_database();

-- name: set_state
UPDATE fluxbase_rotation.job
SET state = %(state)s,
    error = %(error)s,
    remaining = coalesce(%(remaining)s, remaining),
    finished_at = CASE WHEN %(state)s IN ('completed', 'superseded') THEN clock_timestamp() END
WHERE id = %(job)s AND state IN ('running', 'interrupted', 'failed');

-- name: interrupt_if_last
-- A runner that stops leaves the job running where another one is still at work.
UPDATE fluxbase_rotation.job AS j
SET state = %(state)s, error = %(error)s
WHERE j.id = %(job)s
  AND j.state = 'running'
  AND NOT EXISTS (
      SELECT FROM fluxbase_rotation.runner AS r
      WHERE r.job = j.id AND r.number <> %(runner)s AND r.ended_at IS NULL
        AND EXISTS (
            SELECT FROM pg_locks AS l
            WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %(lock_class)s::oid
              AND l.objid = r.number::oid AND l.objsubid = 2
              AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())));

-- name: orders
-- Runners are counted only where they share something.
SELECT j.paused_at, j.paused_by, j.pause_reason, j.max_rate AS max_rate_per_s, j.batch_size AS batch_rows,
       j.max_lag_s, j.max_lag_bytes,
       CASE WHEN j.max_rate IS NULL THEN 1 ELSE (
           SELECT count(*)
           FROM fluxbase_rotation.runner AS r
           JOIN pg_locks AS l ON l.objid = r.number::oid
           WHERE r.job = j.id AND r.ended_at IS NULL
             AND l.locktype = 'advisory' AND l.granted AND l.classid = %(lock_class)s::oid AND l.objsubid = 2
             AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))
       END::integer AS runners
FROM fluxbase_rotation.job AS j
WHERE j.id = %(job)s;

-- name: pause
UPDATE fluxbase_rotation.job
SET paused_at = clock_timestamp(), paused_by = %(by)s, pause_reason = %(reason)s
WHERE id = %(job)s AND paused_at IS NULL;

-- name: resume
UPDATE fluxbase_rotation.job SET paused_at = NULL, paused_by = NULL, pause_reason = NULL WHERE id = %(job)s;

-- name: tune
-- NULL leaves an order as it is, 0 lifts it.
UPDATE fluxbase_rotation.job
SET max_rate = nullif(coalesce(%(max_rate_per_s)s, max_rate), 0),
    batch_size = nullif(coalesce(%(batch_rows)s, batch_size), 0),
    max_lag_s = nullif(coalesce(%(max_lag_s)s, max_lag_s), 0),
    max_lag_bytes = nullif(coalesce(%(max_lag_bytes)s, max_lag_bytes), 0)
WHERE id = %(job)s;

-- name: lock_job
SELECT pass, state FROM fluxbase_rotation.job WHERE id = %(job)s FOR UPDATE;

-- name: open_shards
-- How many shards of the current pass are not done, and what the pass has changed or failed to change so far.
SELECT count(*) FILTER (WHERE NOT s.done) AS open_shards,
       coalesce(sum(s.unwritten + c.changed), 0)::bigint AS touched
FROM fluxbase_rotation.shard AS s
CROSS JOIN LATERAL (
    SELECT coalesce(sum((e.value ->> 'updated')::bigint + (e.value ->> 'moved')::bigint), 0) AS changed
    FROM jsonb_each(s.counts) AS e) AS c
WHERE s.job = %(job)s AND s.pass = %(pass)s;

-- name: next_pass
WITH forgotten AS (
    DELETE FROM fluxbase_rotation.unexamined WHERE job = %(job)s
)
UPDATE fluxbase_rotation.job
SET pass = pass + 1, news_from = horizon, horizon = pg_snapshot_xmin(pg_current_snapshot())
WHERE id = %(job)s
RETURNING pass;

-- name: repeat_census
WITH forgotten AS (
    DELETE FROM fluxbase_rotation.unexamined WHERE job = %(job)s
)
UPDATE fluxbase_rotation.shard AS s
SET done = false, runner = NULL, lease_until = NULL
FROM fluxbase_rotation.job AS j
WHERE j.id = s.job AND s.job = %(job)s AND s.pass = j.pass AND s.pass > 0;

-- name: beyond_32_bits
-- Whether the 32 bits that a row version shows no longer name one transaction.
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::numeric >= 4294967296 AS found;

-- name: has_relation
SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
               WHERE n.nspname = %(schema)s AND c.relname = %(relation)s AND c.relkind = 'r') AS found;

-- name: abandon_shard
-- A shard of a relation that is not there any more. It counts as unwritten, so that another census follows.
UPDATE fluxbase_rotation.shard SET done = true, unwritten = unwritten + 1
WHERE id = %(shard)s AND runner = %(runner)s AND NOT done;

-- name: note_unexamined
INSERT INTO fluxbase_rotation.unexamined (job, kind, place, reason)
VALUES (%(job)s, %(kind)s, %(place)s, %(reason)s)
ON CONFLICT (job, kind, place) DO UPDATE SET reason = excluded.reason;

-- name: list_unexamined
SELECT kind, place AS "where", reason FROM fluxbase_rotation.unexamined WHERE job = %(job)s ORDER BY kind, place;

-- name: census_shards
-- A closing census sees each relation as it is at one moment, so it takes it whole.
INSERT INTO fluxbase_rotation.shard (job, pass, table_name, relation, first, upto, strides, cursor)
SELECT %(job)s, %(pass)s, r.table_name, r.relation, 0, 0, 1, 0
FROM unnest(%(tables)s::text[], %(relations)s::text[]) AS r (table_name, relation);

-- name: register_runner
INSERT INTO fluxbase_rotation.runner (job, host, pid, os_user, db_user, version, workers)
VALUES (%(job)s, %(host)s, %(pid)s, %(os_user)s, session_user, %(version)s, %(workers)s)
RETURNING number;

-- name: take_runner_lock
SELECT pg_try_advisory_lock(%(lock_class)s, %(runner)s);

-- name: heartbeat
-- A slow runner is not robbed: its leases are renewed as long as it breathes. Only those of shards that its workers have
-- in hand: a crash of the server may have taken back that one was done, and then nobody works on it.
WITH beat AS (
    UPDATE fluxbase_rotation.runner SET heartbeat_at = clock_timestamp() WHERE number = %(runner)s
)
UPDATE fluxbase_rotation.shard
SET lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE id IN (
    SELECT id FROM fluxbase_rotation.shard
    WHERE id = ANY (%(shards)s::bigint[]) AND runner = %(runner)s AND NOT done
    FOR UPDATE SKIP LOCKED);

-- name: give_back
UPDATE fluxbase_rotation.shard SET runner = NULL, lease_until = NULL
WHERE id = %(shard)s AND runner = %(runner)s AND NOT done;

-- name: end_runner
WITH ended AS (
    UPDATE fluxbase_rotation.runner SET ended_at = clock_timestamp() WHERE number = %(runner)s
)
UPDATE fluxbase_rotation.shard SET runner = NULL, lease_until = NULL
WHERE job = %(job)s AND runner = %(runner)s AND NOT done;

-- name: runners
SELECT r.number, r.job, r.host, r.pid, r.os_user, r.db_user, r.version, r.workers,
       r.started_at, r.heartbeat_at, r.ended_at,
       r.ended_at IS NULL AND EXISTS (
           SELECT FROM pg_locks AS l
           WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %(lock_class)s::oid
             AND l.objid = r.number::oid AND l.objsubid = 2
             AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())) AS alive
FROM fluxbase_rotation.runner AS r
WHERE r.job = %(job)s
ORDER BY r.number;

-- name: free_dead_leases
-- A runner whose session is gone can't commit any more, so its shards need not wait for the lease to run out.
UPDATE fluxbase_rotation.shard AS s
SET runner = NULL, lease_until = NULL
WHERE s.job = %(job)s AND s.runner IS NOT NULL AND NOT s.done
  AND NOT EXISTS (
      SELECT FROM pg_locks AS l
      WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %(lock_class)s::oid
        AND l.objid = s.runner::oid AND l.objsubid = 2
        AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()));

-- name: lease_shard
UPDATE fluxbase_rotation.shard
SET runner = %(runner)s, lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE id = (
    SELECT s.id
    FROM fluxbase_rotation.shard AS s
    JOIN fluxbase_rotation.job AS j ON j.id = s.job AND j.pass = s.pass AND j.state = 'running'
    WHERE s.job = %(job)s AND NOT s.done
      AND (s.runner IS NULL OR s.lease_until < clock_timestamp())
    ORDER BY s.id
    LIMIT 1
    FOR UPDATE OF s SKIP LOCKED)
RETURNING id, pass, table_name, relation, first, upto, strides, stride, cursor, rows_done, counts;

-- name: reread_shard
-- After a failure: where the database says that we are. No row: the lease went to somebody else.
SELECT id, pass, table_name, relation, first, upto, strides, stride, cursor, rows_done, counts
FROM fluxbase_rotation.shard
WHERE id = %(shard)s AND runner = %(runner)s AND NOT done;

-- name: record_batch
-- In the transaction of the values: they stand or fall together. Where no row is found the lease went to somebody else,
-- be it only another thread of this runner, which the place tells, or the counts where a census stays at one place; it
-- then ends with division_by_zero, since the COMMIT that is sent along must not be heeded.
WITH moved AS (
    UPDATE fluxbase_rotation.shard
    SET stride = %(lane)s, cursor = %(cursor)s, done = %(done)s,
        rows_done = %(rows_done)s, counts = %(counts)s, unwritten = unwritten + %(unwritten)s,
        lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
    WHERE id = %(shard)s AND runner = %(runner)s AND NOT done
      AND EXISTS (SELECT FROM fluxbase_rotation.job AS j WHERE j.id = shard.job AND j.state = 'running')
      AND stride = %(was_lane)s AND cursor = %(was_cursor)s
      AND rows_done = %(was_rows_done)s AND counts = %(was_counts)s
    RETURNING job
), written AS (
    INSERT INTO fluxbase_rotation.batch (job, xid)
    SELECT job, pg_current_xact_id() FROM moved WHERE %(wrote)s
)
SELECT 1 / count(*) FROM moved;

-- name: written_xids
-- The 32 bits that a row's xmin shows; see `store/values.py` for why they are enough.
SELECT coalesce(array_agg(xid::xid), '{}')::text FROM fluxbase_rotation.batch WHERE job = %(job)s;

-- name: need_full_census
UPDATE fluxbase_rotation.job SET full_census = true WHERE id = %(job)s AND NOT full_census;

-- name: quarantine
INSERT INTO fluxbase_rotation.quarantine (job, location, row_id, path, reason)
VALUES (%(job)s, %(location)s, %(row_id)s, %(path)s, %(reason)s)
ON CONFLICT (job, location, row_id, path) DO UPDATE SET reason = excluded.reason;

-- name: list_quarantine
SELECT location, row_id, path, reason FROM fluxbase_rotation.quarantine
WHERE job = %(job)s
ORDER BY location, row_id, path;

-- name: shard_totals
-- How far a shard is: the strides that are behind it, and the part of the present one by its place.
SELECT s.pass, s.table_name, s.done, s.rows_done, s.counts, s.upto - s.first AS size,
       CASE WHEN s.done THEN 1.0
            ELSE (s.stride + coalesce((s.cursor - s.first)::float8 / nullif(s.upto - s.first, 0), 0)) / s.strides
       END::float8 AS share
FROM fluxbase_rotation.shard AS s
WHERE s.job = %(job)s
ORDER BY s.id;

-- name: now
SELECT clock_timestamp() AS now;

-- name: progress
SELECT coalesce(sum(rows_done), 0)::bigint AS rows_done
FROM fluxbase_rotation.shard WHERE job = %(job)s AND pass = 0;

-- name: add_event
INSERT INTO fluxbase_rotation.event (job, os_user, host, what, reason, detail)
VALUES (%(job)s, %(os_user)s, %(host)s, %(what)s, %(reason)s, %(detail)s);

-- name: job_of_run
-- The job that processes of that name worked on last.
SELECT job FROM fluxbase_rotation.event
WHERE detail ->> 'run_name' = %(run_name)s AND job IS NOT NULL
ORDER BY id DESC
LIMIT 1;

-- name: list_events
SELECT at, job, db_user, os_user, host, what, reason, detail
FROM fluxbase_rotation.event
WHERE job = %(job)s
ORDER BY id;
