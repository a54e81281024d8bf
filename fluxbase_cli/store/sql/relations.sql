-- Where the sealed tables are in this database, and what shows its release. Names are qualified: the session's
-- search_path is pg_catalog.

-- name: tables
-- The tables of the catalogue, as they are in this database.
SELECT n.nspname || '.' || c.relname AS table_name,
       c.relkind::text AS kind,
       -- A domain counts as its base type.
       (SELECT coalesce(jsonb_object_agg(a.attname, coalesce(nullif(t.typbasetype, 0), t.oid)::regtype::text), '{}')
        FROM pg_attribute AS a
        JOIN pg_type AS t ON t.oid = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       EXISTS (
           SELECT FROM pg_index AS i
           JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] AND a.attname = wanted.key_name
           WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
             -- The key of a partitioned table may also contain the partitioning column.
             AND (i.indnkeyatts = 1 OR c.relkind = 'p')
             AND a.attnotnull) AS has_key,
       -- The relations that store the rows: the table and the tables that inherit from it, or its partitions.
       (SELECT coalesce(jsonb_agg(jsonb_build_array(
                   ln.nspname, l.relname, l.relkind, l.oid::bigint,
                   EXISTS (SELECT FROM pg_index AS i
                           JOIN pg_attribute AS a
                             ON a.attrelid = l.oid AND a.attnum = i.indkey[0] AND a.attname = wanted.key_name
                           WHERE i.indrelid = l.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                             AND i.indnkeyatts = 1 AND a.attnotnull)) ORDER BY l.oid), '[]')
        FROM (WITH RECURSIVE descendant (oid) AS (
                  SELECT c.oid
                  UNION
                  SELECT i.inhrelid FROM pg_inherits AS i JOIN descendant AS d ON d.oid = i.inhparent)
              SELECT oid FROM descendant) AS leaf
        -- A partitioned table itself stores no rows.
        JOIN pg_class AS l ON l.oid = leaf.oid AND l.relkind <> 'p'
        JOIN pg_namespace AS ln ON ln.oid = l.relnamespace) AS leaves
FROM unnest(%(schemas)s::text[], %(names)s::text[], %(keys)s::text[]) AS wanted (schema_name, table_name, key_name)
JOIN pg_namespace AS n ON n.nspname = wanted.schema_name
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = wanted.table_name
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm');

-- name: signs
-- What shows the release (`fluxbase_cli/catalogue/releases.py`).
SELECT ARRAY(SELECT n.nspname || '.' || c.relname
             FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
             WHERE n.nspname IN ('dashboard', 'platform', 'migrations', 'auth', 'functions')
               AND c.relkind IN ('r', 'p', 'f', 'v')) AS tables,
       ARRAY(SELECT nspname::text FROM pg_namespace WHERE nspname IN ('dashboard', 'platform', 'migrations')) AS schemas,
       (SELECT nullif(a.atttypmod, -1) - 4
        FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid AND c.relname = 'users'
        JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = 'auth'
        WHERE a.attname = 'totp_secret' AND NOT a.attisdropped) AS totp_length,
       ARRAY(SELECT n.nspname || '.' || c.relname
             FROM pg_attribute AS a
             JOIN pg_class AS c ON c.oid = a.attrelid AND c.relname IN ('users', 'secrets', 'settings', 'oauth_tokens')
             JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname IN ('auth', 'functions', 'app')
             WHERE a.attname = 'tenant_id' AND NOT a.attisdropped) AS tenant_ids,
       -- In a tenant's database this is a foreign table that points to the main database.
       EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
               WHERE n.nspname = 'platform' AND c.relname = 'tenants' AND c.relkind = 'f') AS is_tenant;

-- name: may_select
-- Which of these exist as ordinary tables that the session's role may read.
SELECT n.nspname || '.' || c.relname AS table_name
FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS wanted (schema_name, name)
JOIN pg_namespace AS n ON n.nspname = wanted.schema_name
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = wanted.name AND c.relkind = 'r'
WHERE has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT');

-- name: migration
SELECT max(version)::bigint AS found FROM migrations.fluxbase;

-- name: fingerprint
SELECT schema_fingerprint AS found FROM platform.declarative_state ORDER BY id DESC LIMIT 1;

-- name: early_fingerprint
-- The table in which 2026.3.7-rc.1 to rc.10 store it.
SELECT schema_fingerprint AS found FROM migrations.declarative_state ORDER BY id DESC LIMIT 1;

-- name: oid
SELECT c.oid::bigint AS found FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(name)s AND c.relkind = 'r';
