-- The preflight checks' queries of the system catalogues. Names are qualified: the session's search_path is pg_catalog.

-- name: session
-- The session's role, and whether it may switch to service_role. pg_has_role knows SET from PostgreSQL 16 on. Before,
-- membership was enough.
SELECT current_user AS role,
       current_database() AS database,
       current_setting('server_version') AS server_version,
       current_setting('server_version_num')::integer AS server_version_num,
       pg_is_in_recovery() AS in_recovery,
       current_setting('default_transaction_read_only')::boolean AS read_only,
       (SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles AS r WHERE r.rolname = current_user) AS bypasses,
       coalesce((SELECT (r.rolsuper OR r.rolbypassrls)
                        AND pg_has_role(current_user, r.oid,
                                        CASE WHEN current_setting('server_version_num')::integer >= 160000
                                             THEN 'SET' ELSE 'MEMBER' END)
                 FROM pg_roles AS r WHERE r.rolname = 'service_role'), false) AS can_switch,
       has_parameter_privilege(current_user, 'session_replication_role', 'SET') AS can_silence;

-- name: privileges
-- The privileges that the role lacks, in the words of a GRANT.
WITH wanted AS (
    SELECT DISTINCT t.column_name, c.oid, n.oid AS schema_oid, n.nspname, c.relname
    FROM unnest(%(schemas)s::text[], %(names)s::text[], %(columns)s::text[]) AS t (schema_name, name, column_name)
    JOIN pg_namespace AS n ON n.nspname = t.schema_name
    JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.name
)
SELECT DISTINCT lacks FROM (
    SELECT format('USAGE ON SCHEMA %%I', nspname) AS lacks FROM wanted
    WHERE NOT has_schema_privilege(%(role)s, schema_oid, 'USAGE')
    UNION ALL
    SELECT format('SELECT ON %%I.%%I', nspname, relname) FROM wanted
    WHERE NOT has_table_privilege(%(role)s, oid, 'SELECT')
    UNION ALL
    SELECT format('UPDATE (%%I) ON %%I.%%I', column_name, nspname, relname) FROM wanted
    WHERE %(write)s AND NOT has_column_privilege(%(role)s, oid, column_name, 'UPDATE')
) AS missing
ORDER BY lacks;

-- name: triggers
-- The triggers that an update of our columns would fire. Under session_replication_role = replica these are the
-- triggers of mode ALWAYS and REPLICA, otherwise those of mode ORIGIN and ALWAYS.
SELECT DISTINCT n.nspname || '.' || c.relname AS table_name, g.tgname AS trigger_name
FROM unnest(%(schemas)s::text[], %(names)s::text[], %(columns)s::text[]) AS t (schema_name, name, column_name)
JOIN pg_namespace AS n ON n.nspname = t.schema_name
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.name
JOIN pg_trigger AS g ON g.tgrelid = c.oid
WHERE NOT g.tgisinternal
  AND (g.tgtype & 16) <> 0
  AND g.tgenabled = ANY (CASE WHEN %(quiet)s THEN ARRAY['A', 'R'] ELSE ARRAY['O', 'A'] END::"char"[])
  AND (g.tgattr = ''::int2vector OR EXISTS (
      SELECT FROM pg_attribute AS a
      WHERE a.attrelid = g.tgrelid AND a.attname = t.column_name AND a.attnum = ANY (g.tgattr)))
ORDER BY 1, 2;

-- name: weaker
-- For a superuser: the tables on whose updates something runs that a weaker role can change (a trigger, a rule, a CHECK,
-- a generated column, an index), because that role owns the table or a function that it uses.
WITH wanted AS (
    SELECT DISTINCT c.oid, c.relowner, c.relforcerowsecurity, n.nspname || '.' || c.relname AS name
    FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS t (schema_name, name)
    JOIN pg_namespace AS n ON n.nspname = t.schema_name
    JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.name
), parts AS (
    SELECT 'pg_constraint'::regclass AS class, k.oid, k.conrelid AS relation FROM pg_constraint AS k
    UNION ALL SELECT 'pg_trigger'::regclass, g.oid, g.tgrelid FROM pg_trigger AS g
    UNION ALL SELECT 'pg_rewrite'::regclass, r.oid, r.ev_class FROM pg_rewrite AS r
    UNION ALL SELECT 'pg_attrdef'::regclass, d.oid, d.adrelid FROM pg_attrdef AS d
    UNION ALL SELECT 'pg_class'::regclass, i.indexrelid, i.indrelid FROM pg_index AS i
)
SELECT w.name, o.rolname AS owner, o.rolsuper OR o.rolbypassrls OR NOT w.relforcerowsecurity AS owner_sees_all
FROM wanted AS w JOIN pg_roles AS o ON o.oid = w.relowner
WHERE (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user)
  AND (NOT o.rolsuper OR EXISTS (
      SELECT FROM parts AS p
      JOIN pg_depend AS d ON d.classid = p.class AND d.objid = p.oid AND d.refclassid = 'pg_proc'::regclass
      JOIN pg_proc AS f ON f.oid = d.refobjid
      JOIN pg_roles AS fo ON fo.oid = f.proowner
      WHERE p.relation = w.oid AND NOT fo.rolsuper))
ORDER BY w.name;
