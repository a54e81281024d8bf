-- Jobs: their state, their passes, their control settings, and what they found.
-- Each statement has a name; `store/jobs.py` is the only place where a name meets a method.

-- name: unfinished_job
-- The one unfinished job.
SELECT {{job_columns}}
FROM fluxbase_rotation.job AS j
WHERE state IN ('running', 'interrupted', 'failed');

-- name: get_job
SELECT {{job_columns}}
FROM fluxbase_rotation.job AS j
WHERE id = %(job)s;

-- name: list_jobs
SELECT {{job_columns}}
FROM fluxbase_rotation.job AS j
ORDER BY id DESC
LIMIT %(limit)s;

-- name: create_job
-- After 2**32 transactions the 32 bits of xmin no longer name one transaction, so the catch-up pass opens everything.
INSERT INTO fluxbase_rotation.job
    (kind, from_version, to_version, reason, fingerprints, catalogue, began, horizon, storage, full_census, total_rows)
VALUES
    (%(kind)s, %(from_version)s, %(to_version)s, %(reason)s, %(fingerprints)s, %(catalogue)s,
     pg_snapshot_xmax(pg_current_snapshot()), pg_snapshot_xmin(pg_current_snapshot()), '{}',
     %(full_census)s OR pg_snapshot_xmax(pg_current_snapshot())::text::numeric >= 4294967296, %(total_rows)s)
RETURNING id;

-- name: number_from
-- The next job gets this number, or a later one. A role without the right to set the sequence takes the next number.
SELECT setval(s.name, %(number)s, false)
FROM (SELECT pg_get_serial_sequence('fluxbase_rotation.job', 'id')::regclass AS name) AS s
WHERE has_sequence_privilege(s.name, 'UPDATE')
  AND %(number)s > (SELECT coalesce(max(id), 0) FROM fluxbase_rotation.job);

-- name: newest_job
SELECT coalesce(max(id), 0) AS id FROM fluxbase_rotation.job;

-- name: is_copy
-- Whether the job was begun in another database, of which this database is a copy.
SELECT cardinality(j.storage) > 0 AND NOT EXISTS (
           SELECT FROM unnest(j.storage) AS mark
           WHERE split_part(mark, ':', 1) IN ('', %(cluster)s::text)
             AND split_part(mark, ':', 3) = (SELECT d.oid::text FROM pg_database AS d
                                             WHERE d.datname = current_database())) AS found
FROM fluxbase_rotation.job AS j WHERE j.id = %(job)s;

-- name: set_storage
UPDATE fluxbase_rotation.job SET storage = %(storage)s WHERE id = %(job)s;

-- name: may_name_cluster
SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may;

-- name: cluster
SELECT system_identifier::text AS name FROM pg_control_system();

-- name: storage
-- What the ctids of the relations depend on: the cluster and its timeline, the database, and the file of each relation.
-- After a dump is restored into another cluster, all of these numbers except the first may be the same. Where a role
-- may not read that number, the job's first event shows it, which nothing updates: a copy of the files keeps the
-- transaction that wrote its row version, and a restored dump has another one. Also the
-- triggers and rules that fire even under session_replication_role = replica: one that is created during a job may
-- write back what we have overwritten.
SELECT coalesce(array_agg(format('%%s:%%s:%%s:%%s:%%s:%%s%%s', %(cluster)s::text,
                                 substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
                                 d.oid, c.oid, pg_relation_filenode(c.oid),
                                 (SELECT e.xmin::text FROM fluxbase_rotation.event AS e
                                  WHERE e.job = %(job)s ORDER BY e.id LIMIT 1), f.firing) ORDER BY c.oid), '{}') AS storage
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

-- name: control
-- Runners are counted only if there is something that they share.
SELECT j.paused_at, j.paused_by, j.pause_reason, j.max_rate AS max_rate_per_s, j.batch_size AS batch_rows,
       j.max_lag_s, j.max_lag_bytes, j.stopped_at, j.stopped_by, j.stop_reason,
       (to_jsonb(j) ->> 'workers')::integer AS workers, j.state = 'running' AS running,
       coalesce(alive.runners, 1)::integer AS runners, coalesce(alive.before, 0)::integer AS place
FROM fluxbase_rotation.job AS j
LEFT JOIN LATERAL (
    SELECT count(*) AS runners, count(*) FILTER (WHERE r.number < %(runner)s) AS before
    FROM fluxbase_rotation.runner AS r
    JOIN ({{live_runners}}) AS live ON live.number = r.number
    WHERE r.job = j.id AND r.ended_at IS NULL) AS alive
    ON j.max_rate IS NOT NULL OR to_jsonb(j) ->> 'workers' IS NOT NULL
WHERE j.id = %(job)s;

-- name: pause
UPDATE fluxbase_rotation.job
SET paused_at = clock_timestamp(), paused_by = %(by)s, pause_reason = %(reason)s
WHERE id = %(job)s AND paused_at IS NULL;

-- name: resume
UPDATE fluxbase_rotation.job
SET paused_at = NULL, paused_by = NULL, pause_reason = NULL, stopped_at = NULL, stopped_by = NULL, stop_reason = NULL
WHERE id = %(job)s;

-- name: stop
-- A later request replaces an earlier one. So a process that has seen the earlier one only does not lift the later one.
UPDATE fluxbase_rotation.job
SET stopped_at = clock_timestamp(), stopped_by = %(by)s, stop_reason = %(reason)s
WHERE id = %(job)s AND state IN ('running', 'interrupted', 'failed')
RETURNING id;

-- name: lift_stop
-- Only the request that the caller has seen.
UPDATE fluxbase_rotation.job
SET stopped_at = NULL, stopped_by = NULL, stop_reason = NULL
WHERE id = %(job)s AND stopped_at = %(seen)s
RETURNING id;

-- name: tune
-- NULL keeps a setting as it is, 0 removes it.
UPDATE fluxbase_rotation.job
SET max_rate = nullif(coalesce(%(max_rate_per_s)s, max_rate), 0),
    batch_size = nullif(coalesce(%(batch_rows)s, batch_size), 0),
    workers = nullif(coalesce(%(workers)s, workers), 0),
    max_lag_s = nullif(coalesce(%(max_lag_s)s, max_lag_s), 0),
    max_lag_bytes = nullif(coalesce(%(max_lag_bytes)s, max_lag_bytes), 0)
WHERE id = %(job)s;

-- name: forget_written
DELETE FROM fluxbase_rotation.batch WHERE job = %(job)s;

-- name: lock_job
SELECT pass, state FROM fluxbase_rotation.job WHERE id = %(job)s FOR UPDATE;

-- name: next_pass
WITH forgotten AS (
    DELETE FROM fluxbase_rotation.unexamined WHERE job = %(job)s
)
UPDATE fluxbase_rotation.job
SET pass = pass + 1, news_from = horizon, horizon = pg_snapshot_xmin(pg_current_snapshot())
WHERE id = %(job)s
RETURNING pass;

-- name: beyond_32_bits
-- Whether the 32 bits of a row version's xmin no longer name one transaction.
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::numeric >= 4294967296 AS found;

-- name: note_unexamined
INSERT INTO fluxbase_rotation.unexamined (job, kind, place, reason)
VALUES (%(job)s, %(kind)s, %(place)s, %(reason)s)
ON CONFLICT (job, kind, place) DO UPDATE SET reason = excluded.reason;

-- name: list_unexamined
SELECT kind, place AS "where", reason FROM fluxbase_rotation.unexamined WHERE job = %(job)s ORDER BY kind, place;

-- name: need_full_census
UPDATE fluxbase_rotation.job SET full_census = true WHERE id = %(job)s AND NOT full_census;

-- name: quarantine
INSERT INTO fluxbase_rotation.quarantine (job, location, row_id, path, reason)
VALUES (%(job)s, %(location)s, %(row_id)s, %(path)s, %(reason)s)
ON CONFLICT (job, location, row_id, path) DO UPDATE SET reason = excluded.reason;

-- name: forget_unwritable
DELETE FROM fluxbase_rotation.quarantine WHERE job = %(job)s AND starts_with(reason, %(beginning)s);

-- name: list_quarantine
SELECT location, row_id, path, reason
FROM (
    SELECT location, row_id, path, reason
    FROM (
        SELECT
            location, row_id, path, reason,
            row_number() OVER (PARTITION BY location, reason ORDER BY row_id, path) AS place
        FROM fluxbase_rotation.quarantine
        WHERE job = %(job)s
    ) AS ranked
    WHERE place <= %(of_a_kind)s
    ORDER BY place, location, reason
    LIMIT %(most)s
) AS listed
ORDER BY location, row_id, path;

-- name: count_kinds
SELECT location, reason, count(*) AS number
FROM fluxbase_rotation.quarantine
WHERE job = %(job)s
GROUP BY location, reason;

-- name: count_quarantine
SELECT
    location,
    count(*) FILTER (WHERE NOT starts_with(reason, %(beginning)s)) AS undecryptable,
    count(*) FILTER (WHERE starts_with(reason, %(beginning)s)) AS unwritable
FROM fluxbase_rotation.quarantine
WHERE job = %(job)s
GROUP BY location;
