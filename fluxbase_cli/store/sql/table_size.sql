-- How large relations are, and whether the role may vacuum them. `store/table_size.py` is the only place where a name
-- meets a function.

-- name: sizes
-- The size on disk of the rows, of large values outside the rows (TOAST), and of the indexes; and the number of dead
-- rows as PostgreSQL counts them.
SELECT r.schema_name || '.' || r.name AS relation,
       pg_relation_size(c.oid) AS heap, pg_table_size(c.oid) AS whole, pg_indexes_size(c.oid) AS indexes,
       -- A partial index has fewer entries than the table has rows, or none; unknown before the first VACUUM or
       -- ANALYZE.
       (SELECT coalesce(sum(CASE WHEN x.reltuples < 0 OR c.reltuples <= 0 THEN (i.indpred IS NULL)::integer
                                 ELSE least(x.reltuples / c.reltuples, 1) END), 0)::float8
        FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND i.indisready) AS entries_a_row,
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

-- name: others_wait
-- Whether another session waits for a table that this one has locked.
SELECT EXISTS (
    SELECT FROM pg_locks AS w
    WHERE w.locktype = 'relation' AND NOT w.granted AND pg_backend_pid() = ANY (pg_blocking_pids(w.pid)));

-- name: others_wait_for
SELECT EXISTS (
    SELECT FROM pg_locks AS w
    WHERE w.locktype = 'relation' AND NOT w.granted AND %(process)s = ANY (pg_blocking_pids(w.pid)));

-- name: oldest_snapshot
-- The next transaction's number, and how many transactions ago the oldest snapshot began that keeps dead rows of this
-- database from being removed. Our own batches are short, and the VACUUM of autovacuum does not count.
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next,
       coalesce(greatest(
           (SELECT max(greatest(age(a.backend_xmin), age(a.backend_xid)))
            FROM pg_stat_activity AS a
            WHERE a.pid <> pg_backend_pid() AND NOT coalesce(starts_with(a.application_name, %(ours)s), false)
              AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
              AND (a.datname IS NULL OR a.datname = current_database())),
           (SELECT max(age(s.xmin)) FROM pg_replication_slots AS s),
           (SELECT max(age(p.transaction)) FROM pg_prepared_xacts AS p WHERE p.database = current_database())),
           0)::bigint AS age;

-- name: vacuum_lock
-- A session that has the lock already does not take it again.
SELECT coalesce(bool_or(l.pid IS NOT NULL OR pg_try_advisory_lock(%(lock_class)s, k.key)), false) AS taken
FROM (SELECT hashtext(n.nspname || '.' || c.relname) AS key
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE n.nspname = %(schema)s AND c.relname = %(name)s) AS k
LEFT JOIN pg_locks AS l
    ON l.locktype = 'advisory' AND l.granted AND l.pid = pg_backend_pid() AND l.classid = %(lock_class)s::oid
       AND l.objid = (k.key::bigint & 4294967295)::oid;
