-- What a forecast asks before and after its rehearsal. `store/rehearsal.py` is the only place where a name meets a method.

-- name: wal_position
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint;

-- name: next_transaction
-- Without taking one.
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint;

-- name: wal_settings
-- The server begins a checkpoint when so much was written that max_wal_size will be reached at its end
-- (CalculateCheckpointSegments in src/backend/access/transam/xlog.c).
SELECT current_setting('full_page_writes')::boolean,
       (SELECT setting::bigint * 1024 * 1024 FROM pg_settings WHERE name = 'max_wal_size')
       / (1 + current_setting('checkpoint_completion_target')::double precision);

-- name: sizes
-- On disk: the rows, what is stored beside them (TOAST), and the indexes; and what PostgreSQL knows of dead rows.
SELECT r.schema_name || '.' || r.name AS relation,
       pg_relation_size(c.oid) AS heap, pg_table_size(c.oid) AS whole, pg_indexes_size(c.oid) AS indexes,
       (SELECT count(*) FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisready) AS index_count,
       coalesce(s.n_live_tup, 0) AS live, coalesce(s.n_dead_tup, 0) AS dead
FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS r (schema_name, name)
JOIN pg_namespace AS n ON n.nspname = r.schema_name
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = r.name
LEFT JOIN pg_stat_all_tables AS s ON s.relid = c.oid;

-- name: may_vacuum
-- pg_maintain and the privilege MAINTAIN came with PostgreSQL 17.
SELECT r.schema_name || '.' || r.name AS relation,
       pg_has_role(c.relowner, 'USAGE')
       OR coalesce((SELECT pg_has_role(m.oid, 'USAGE') FROM pg_roles AS m WHERE m.rolname = 'pg_maintain'), false)
       OR CASE WHEN current_setting('server_version_num')::integer >= 170000
               THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END AS may
FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS r (schema_name, name)
JOIN pg_namespace AS n ON n.nspname = r.schema_name
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = r.name;
