-- What the security check reads about tables. Names are qualified: the session's search_path is pg_catalog.

-- name: tables
-- Tables and partitioned tables with what `anon` and `authenticated` may do with them. A privilege counts only together
-- with USAGE on the schema. Roles that do not exist have none. Objects of extensions are left out.
WITH api AS (
    SELECT oid, rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated')
)
SELECT n.nspname AS schema,
       c.relname AS name,
       c.relrowsecurity AS row_security,
       c.relforcerowsecurity AS forced,
       c.relispartition AS is_partition,
       (SELECT count(*) FROM pg_policy AS p WHERE p.polrelid = c.oid) AS policies,
       coalesce((
           SELECT array_agg(api.rolname::text ORDER BY api.rolname) FROM api
           WHERE has_schema_privilege(api.oid, n.oid, 'USAGE')
             AND (has_table_privilege(api.oid, c.oid, 'SELECT')
                  OR has_any_column_privilege(api.oid, c.oid, 'SELECT'))), '{}') AS readers,
       coalesce((
           SELECT array_agg(api.rolname::text ORDER BY api.rolname) FROM api
           WHERE has_schema_privilege(api.oid, n.oid, 'USAGE')
             AND (has_table_privilege(api.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
                  OR has_any_column_privilege(api.oid, c.oid, 'INSERT, UPDATE'))), '{}') AS writers,
       ARRAY(SELECT a.attname::text FROM pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
  AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname !~ '^pg_(toast|temp)'
  AND NOT EXISTS (
      SELECT FROM pg_depend AS d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname;
