-- Parts that several statements share. A statement names one in double braces; `store/queries.py` inserts it.

-- fragment: job_columns
-- The columns of later migrations are read through to_jsonb(), so that a table of an earlier schema version, which lacks
-- them, can be read.
id, kind, state, from_version, to_version, reason, fingerprints, catalogue, pass,
       began::text::bigint AS began, horizon::text::bigint AS horizon, news_from::text::bigint AS news_from,
       storage, full_census, total_rows, remaining, error, created_at, finished_at,
       (to_jsonb(j) ->> 'paused_at')::timestamptz AS paused_at, to_jsonb(j) ->> 'paused_by' AS paused_by,
       (to_jsonb(j) ->> 'stopped_at')::timestamptz AS stopped_at, to_jsonb(j) ->> 'stopped_by' AS stopped_by,
       to_jsonb(j) ->> 'stop_reason' AS stop_reason

-- fragment: shard_columns
-- The columns of the tables are named `stride` and `strides`; the code calls them lane and lanes (docs/glossary.md).
id, pass, table_name, relation, first, upto, strides, stride, cursor, rows_done, counts

-- fragment: live_runners
SELECT l.objid::bigint AS number
FROM pg_locks AS l
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %(lock_class)s::oid AND l.objsubid = 2
  AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
