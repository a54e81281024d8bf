-- What the deep audit searches. Names are qualified: the session's search_path is pg_catalog.

-- name: columns
-- Every column that could hold a seal, and the columns that name its row or its user, of every table and materialized
-- view that stores rows. All names are cast to text, so that they come as bytes.
WITH RECURSIVE resolved (type, base) AS (
    -- A domain counts as its base type.
    SELECT oid, oid FROM pg_type
    UNION ALL
    SELECT r.type, t.typbasetype
    FROM resolved AS r JOIN pg_type AS t ON t.oid = r.base
    WHERE t.typtype = 'd'
), kinds (type, kind, element) AS (
    SELECT r.type,
           CASE
               WHEN t.oid = 'bytea'::regtype THEN 'bytes'
               WHEN t.oid = 'uuid'::regtype THEN 'uuid'
               -- text, varchar, char, name, citext and the like.
               WHEN t.typcategory = 'S' THEN 'text'
               WHEN t.oid IN ('json'::regtype, 'jsonb'::regtype, 'xml'::regtype) OR t.typname = 'hstore'
                    OR t.typtype = 'c' THEN 'printed'
           END,
           CASE WHEN t.typcategory = 'A' THEN t.typelem END
    FROM resolved AS r JOIN pg_type AS t ON t.oid = r.base
    WHERE t.typtype <> 'd'
), searched (type, kind) AS (
    SELECT k.type,
           CASE
               WHEN k.kind IS NOT NULL THEN k.kind
               WHEN e.kind = 'uuid' THEN 'uuids'
               WHEN e.kind IS NOT NULL THEN 'printed'
           END
    FROM kinds AS k LEFT JOIN kinds AS e ON e.type = k.element
), tables AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.relfilenode, am.amname,
           c.relkind <> 'm' OR c.relispopulated AS populated,
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS readable,
           -- From the last ANALYZE of the table; see `sizes`.
           c.relpages::bigint AS blocks,
           (c.relpages + coalesce((SELECT o.relpages FROM pg_class AS o WHERE o.oid = c.reltoastrelid), 0))
               * current_setting('block_size')::bigint AS bytes,
           ARRAY(SELECT pn.nspname::text || '.' || p.relname::text
                 FROM pg_partition_ancestors(c.oid) AS a
                 JOIN pg_class AS p ON p.oid = a.relid
                 JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
                 WHERE a.relid <> c.oid) AS ancestors
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_am AS am ON am.oid = c.relam
    WHERE c.relkind IN ('r', 'm')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'fluxbase_rotation', 'fluxbase_keys')
      AND n.nspname !~ '^pg_(toast|temp|toast_temp)(_|$)'
)
SELECT t.oid::bigint AS oid, t.nspname::text AS schema, t.relname::text AS name, t.relfilenode::bigint AS storage,
       t.amname::text AS method, t.populated, t.readable, t.blocks, t.bytes, t.ancestors,
       a.attname::text AS column_name, s.kind,
       EXISTS (SELECT FROM pg_index AS i
               WHERE i.indrelid = t.oid AND i.indisprimary AND i.indnatts = 1 AND i.indkey[0] = a.attnum) AS is_key
FROM tables AS t
JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN searched AS s ON s.type = a.atttypid
-- Of all other columns only an integer key is useful: it names a row.
WHERE s.kind IS NOT NULL OR a.atttypid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype)
ORDER BY t.nspname, t.relname, a.attnum;

-- name: sizes
-- How large tables are now. This takes a lock on each table, so it skips a table that another session has locked.
SELECT oid::bigint AS oid, pg_relation_size(oid) / current_setting('block_size')::bigint AS blocks,
       pg_table_size(oid) AS bytes
FROM unnest(%(oids)s::oid[]) AS wanted (oid)
WHERE NOT EXISTS (SELECT FROM pg_locks AS l
                  WHERE l.relation = wanted.oid AND l.mode = 'AccessExclusiveLock'
                    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()));

-- name: storage
-- Which relation has a name now, even if the transaction's snapshot shows another one; NULL if none has.
SELECT to_regclass(name)::oid::bigint AS oid, pg_relation_filenode(to_regclass(name))::bigint AS storage
FROM unnest(%(name)s::text[]) AS wanted (name);
