-- How far a job was over time, and what its runners have waited for.
-- Each statement has a name; `store/samples.py` is the only place where a name meets a method.

-- name: add_sample
-- Nothing is added if the last row is younger than it says that the next one should be. Then the shards are not read.
WITH last AS (
    SELECT at, every_s FROM fluxbase_rotation.sample WHERE job = %(job)s ORDER BY at DESC LIMIT 1
)
INSERT INTO fluxbase_rotation.sample (job, pass, rows_done, values_done, every_s)
SELECT j.id, j.pass, t.rows_done, t.values_done, coalesce((SELECT every_s FROM last), %(every_s)s)
FROM fluxbase_rotation.job AS j
CROSS JOIN LATERAL (
    SELECT coalesce(sum(s.rows_done) FILTER (WHERE s.pass = 0), 0)::bigint AS rows_done,
           coalesce(sum(c.scanned), 0)::bigint AS values_done
    FROM fluxbase_rotation.shard AS s
    CROSS JOIN LATERAL (
        SELECT coalesce(sum((e.value ->> 'scanned')::bigint), 0) AS scanned FROM jsonb_each(s.counts) AS e) AS c
    WHERE s.job = j.id) AS t
WHERE j.id = %(job)s
  AND (%(at_once)s
       OR NOT EXISTS (SELECT FROM last WHERE at + make_interval(secs => every_s) > clock_timestamp()))
RETURNING 1;

-- name: thin_samples
-- Every second row, without the first and the last one.
DELETE FROM fluxbase_rotation.sample AS s
USING (
    SELECT ctid, row_number() OVER (ORDER BY at) AS place, count(*) OVER () AS number
    FROM fluxbase_rotation.sample WHERE job = %(job)s) AS each
WHERE s.ctid = each.ctid AND s.job = %(job)s
  AND each.number >= %(most)s AND each.place %% 2 = 0 AND each.place < each.number
RETURNING 1;

-- name: sample_less_often
UPDATE fluxbase_rotation.sample SET every_s = every_s * 2 WHERE job = %(job)s;

-- name: list_samples
SELECT at, pass, rows_done, values_done FROM fluxbase_rotation.sample WHERE job = %(job)s ORDER BY at;

-- name: add_wait
INSERT INTO fluxbase_rotation.wait AS w (job, runner, cause, times, seconds)
VALUES (%(job)s, %(runner)s, %(cause)s, %(times)s, %(seconds)s)
ON CONFLICT (job, runner, cause) DO UPDATE SET times = w.times + excluded.times, seconds = w.seconds + excluded.seconds;

-- name: list_waits
SELECT cause, sum(times)::bigint AS times, sum(seconds)::float8 AS seconds
FROM fluxbase_rotation.wait WHERE job = %(job)s GROUP BY cause ORDER BY cause;
