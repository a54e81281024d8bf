-- Shards: the leased parts of a relation, and the record of each batch.
-- Each statement has a name; `store/shards.py` is the only place where a name meets a method.

-- name: create_shards
-- In the transaction that created the job, but in a later snapshot. So all that was committed before the job began lies
-- within the present size of each relation.
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

-- name: census_shards
-- A catch-up pass reads each relation in one snapshot, so the whole relation is one shard.
INSERT INTO fluxbase_rotation.shard (job, pass, table_name, relation, first, upto, strides, cursor)
SELECT %(job)s, %(pass)s, r.table_name, r.relation, 0, 0, 1, 0
FROM unnest(%(tables)s::text[], %(relations)s::text[]) AS r (table_name, relation);

-- name: relations
SELECT DISTINCT relation FROM fluxbase_rotation.shard WHERE job = %(job)s AND pass = 0;

-- name: open_shards
-- How many shards of the current pass are not done, and what the pass has changed or failed to change so far.
SELECT count(*) FILTER (WHERE NOT s.done) AS open_shards,
       coalesce(sum(s.unwritten + c.changed), 0)::bigint AS touched
FROM fluxbase_rotation.shard AS s
CROSS JOIN LATERAL (
    SELECT coalesce(sum((e.value ->> 'updated')::bigint + (e.value ->> 'moved')::bigint), 0) AS changed
    FROM jsonb_each(s.counts) AS e) AS c
WHERE s.job = %(job)s AND s.pass = %(pass)s;

-- name: relations_of_pass
SELECT DISTINCT relation FROM fluxbase_rotation.shard WHERE job = %(job)s AND pass = %(pass)s;

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
RETURNING {{shard_columns}};

-- name: reread_shard
-- After a failure: the position that is stored in the database. No row: another runner has the lease.
SELECT {{shard_columns}}
FROM fluxbase_rotation.shard
WHERE id = %(shard)s AND runner = %(runner)s AND NOT done;

-- name: record_batch
-- In the transaction of the values, so that both are committed or none is. No row: another runner has the lease, or
-- another thread of this runner has advanced the shard. The position shows that; in a catch-up pass, where the position
-- stays the same, the counts show it. Then this fails with division_by_zero, because the COMMIT that is already sent in
-- the same pipeline must not take effect.
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

-- name: give_back
UPDATE fluxbase_rotation.shard SET runner = NULL, lease_until = NULL
WHERE id = %(shard)s AND runner = %(runner)s AND NOT done;

-- name: abandon_shard
-- A shard of a relation that does not exist any more. It counts as unwritten, so that another pass follows, which opens
-- everything.
WITH needed AS (
    UPDATE fluxbase_rotation.job SET full_census = true WHERE id = %(job)s AND NOT full_census
)
UPDATE fluxbase_rotation.shard SET done = true, unwritten = unwritten + 1
WHERE id = %(shard)s AND runner = %(runner)s AND NOT done;

-- name: has_relation
SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
               WHERE n.nspname = %(schema)s AND c.relname = %(relation)s AND c.relkind = 'r') AS found;

-- name: main_rows_done
SELECT relation, sum(rows_done)::bigint AS rows
FROM fluxbase_rotation.shard
WHERE job = %(job)s AND pass = 0
GROUP BY relation;

-- name: shard_totals
-- How far a shard is: the lanes that are done, and the finished part of the present lane.
SELECT s.pass, s.table_name, s.done, s.rows_done, s.counts, s.upto - s.first AS size,
       CASE WHEN s.done THEN 1.0
            ELSE (s.stride + coalesce((s.cursor - s.first)::float8 / nullif(s.upto - s.first, 0), 0)) / s.strides
       END::float8 AS share
FROM fluxbase_rotation.shard AS s
WHERE s.job = %(job)s
ORDER BY s.id;

-- name: progress
SELECT coalesce(sum(rows_done), 0)::bigint AS rows_done
FROM fluxbase_rotation.shard WHERE job = %(job)s AND pass = 0;

-- name: written_xids
-- The 32 bits of a row's xmin; `store/reader.py` says why they are enough.
SELECT coalesce(array_agg(xid::xid), '{}')::text FROM fluxbase_rotation.batch WHERE job = %(job)s;

-- name: repeat_census
WITH forgotten AS (
    DELETE FROM fluxbase_rotation.unexamined WHERE job = %(job)s
)
UPDATE fluxbase_rotation.shard AS s
SET done = false, runner = NULL, lease_until = NULL
FROM fluxbase_rotation.job AS j
WHERE j.id = s.job AND s.job = %(job)s AND s.pass = j.pass AND s.pass > 0;
