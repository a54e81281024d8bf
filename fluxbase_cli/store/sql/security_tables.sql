-- What the security check reads about tables. Names are qualified: the session's search_path is pg_catalog.

-- name: tables
-- Tables and partitioned tables with what `anon` and `authenticated` may do with them, as `role:PRIVILEGE`. A privilege
-- counts only together with USAGE on the schema, and a privilege on one column counts too. Memberships and PUBLIC count
-- as PostgreSQL counts them. Objects of extensions are left out.
WITH api AS (
    SELECT oid, rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated')
),
policies AS (
    SELECT polrelid, count(*) AS number FROM pg_policy GROUP BY polrelid
),
parents AS (
    SELECT inhrelid, array_agg(inhparent::bigint ORDER BY inhseqno) AS oids FROM pg_inherits GROUP BY inhrelid
)
SELECT c.oid::bigint AS oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       c.relrowsecurity AS row_security,
       coalesce(parents.oids, '{}') AS parents,
       coalesce(policies.number, 0) AS policies,
       ARRAY(
           SELECT api.rolname || ':' || privilege
           FROM api
           CROSS JOIN unnest('{SELECT,INSERT,UPDATE}'::text[]) AS privilege
           WHERE has_schema_privilege(api.oid, n.oid, 'USAGE')
             AND (has_table_privilege(api.oid, c.oid, privilege) OR has_any_column_privilege(api.oid, c.oid, privilege))
           UNION ALL
           SELECT api.rolname || ':' || privilege
           FROM api
           CROSS JOIN unnest('{DELETE,TRUNCATE}'::text[]) AS privilege
           WHERE has_schema_privilege(api.oid, n.oid, 'USAGE') AND has_table_privilege(api.oid, c.oid, privilege)
       ) AS privileges,
       ARRAY(SELECT a.attname::text FROM pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN policies ON policies.polrelid = c.oid
LEFT JOIN parents ON parents.inhrelid = c.oid
WHERE c.relkind IN ('r', 'p')
  AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname !~ '^pg_(toast|temp)'
  AND NOT EXISTS (
      SELECT FROM pg_depend AS d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname;

-- name: policies
-- All policies with those of `anon` and `authenticated` that they apply to: by name, by PUBLIC, or by a membership whose
-- privileges are inherited.
WITH api AS (
    SELECT oid, rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated')
)
SELECT p.oid::bigint AS oid,
       p.polrelid::bigint AS table_oid,
       p.polname::text AS name,
       p.polpermissive AS permissive,
       p.polcmd::text AS command,
       ARRAY(SELECT api.rolname::text FROM api
             WHERE EXISTS (SELECT FROM unnest(p.polroles) AS member (oid)
                           WHERE CASE WHEN member.oid = 0 THEN true
                                      ELSE pg_has_role(api.oid, member.oid, 'USAGE') END)) AS roles,
       pg_get_expr(p.polqual, p.polrelid) AS condition,
       pg_get_expr(p.polwithcheck, p.polrelid) AS with_check
FROM pg_policy AS p
ORDER BY p.polrelid, p.polname;

-- name: policy_columns
-- The columns with one of these names that policies look at, with those of `anon` and `authenticated` that may update
-- them.
SELECT d.objid::bigint AS policy,
       c.oid::bigint AS table_oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       a.attname::text AS column_name,
       ARRAY(SELECT api.rolname::text FROM pg_roles AS api
             WHERE api.rolname IN ('anon', 'authenticated')
               AND has_schema_privilege(api.oid, n.oid, 'USAGE')
               AND has_column_privilege(api.oid, c.oid, a.attnum, 'UPDATE')) AS writers
FROM pg_depend AS d
JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
JOIN pg_class AS c ON c.oid = d.refobjid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE d.classid = 'pg_policy'::regclass
  AND d.refclassid = 'pg_class'::regclass
  AND d.refobjsubid > 0
  AND a.attname = ANY (%(columns)s)
ORDER BY d.objid, c.oid, a.attnum;

-- name: role_column
-- Who may update the column `role` of the application's users, and what stands in the way: triggers before an update,
-- with the source of their functions.
SELECT ARRAY(SELECT api.rolname::text FROM pg_roles AS api
             WHERE api.rolname IN ('anon', 'authenticated')
               AND has_schema_privilege(api.oid, n.oid, 'USAGE')
               AND has_column_privilege(api.oid, c.oid, a.attnum, 'UPDATE')) AS writers,
       ARRAY(SELECT p.prosrc FROM pg_trigger AS t
             JOIN pg_proc AS p ON p.oid = t.tgfoid
             -- Bit 1: before. Bit 4: update. Not disabled, and not only for replicas.
             WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
               AND (t.tgtype & 2) <> 0 AND (t.tgtype & 16) <> 0
               AND (t.tgattr = '' OR a.attnum = ANY (t.tgattr::int2[]))) AS triggers
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'role' AND NOT a.attisdropped
WHERE n.nspname = 'auth' AND c.relname = 'users' AND c.relkind IN ('r', 'p');

-- name: views
-- Views that `anon` or `authenticated` may read or write, with the tables that they read with whose rights. A view without
-- `security_invoker` reads with the rights of its owner, and so do the views with `security_invoker` below it.
WITH RECURSIVE api AS (
    SELECT oid, rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated')
),
definitions AS (
    SELECT c.oid, c.relowner,
           coalesce((SELECT option.option_value::boolean FROM pg_options_to_table(c.reloptions) AS option
                     WHERE option.option_name = 'security_invoker'), false) AS invoker
    FROM pg_class AS c WHERE c.relkind = 'v'
),
reads AS (
    SELECT DISTINCT r.ev_class AS view, d.refobjid AS relation
    FROM pg_rewrite AS r
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                       AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
    WHERE r.rulename = '_RETURN'
),
shown AS (
    SELECT c.oid, n.nspname, c.relname, c.relowner,
           ARRAY(SELECT api.rolname::text FROM api
                 WHERE has_schema_privilege(api.oid, n.oid, 'USAGE')
                   AND (has_table_privilege(api.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE')
                        OR has_any_column_privilege(api.oid, c.oid, 'SELECT, INSERT, UPDATE'))) AS roles
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN definitions ON definitions.oid = c.oid AND NOT definitions.invoker
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND NOT EXISTS (
          SELECT FROM pg_depend AS d
          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
),
-- With whose rights (`owner`) which relation is read, at any depth.
reached (view, owner, relation) AS (
    SELECT shown.oid, shown.relowner, reads.relation
    FROM shown JOIN reads ON reads.view = shown.oid
    WHERE shown.roles <> '{}'
    UNION
    SELECT reached.view, CASE WHEN inner_view.invoker THEN reached.owner ELSE inner_view.relowner END, reads.relation
    FROM reached
    JOIN definitions AS inner_view ON inner_view.oid = reached.relation
    JOIN reads ON reads.view = inner_view.oid
)
SELECT shown.nspname::text AS schema,
       shown.relname::text AS name,
       shown.roles,
       owner.rolname::text AS owner,
       tn.nspname::text AS table_schema,
       t.relname::text AS table_name,
       t.relrowsecurity
       AND (owner.rolsuper OR owner.rolbypassrls
            OR (pg_has_role(owner.oid, t.relowner, 'USAGE') AND NOT t.relforcerowsecurity)) AS bypassed
FROM reached
JOIN shown ON shown.oid = reached.view
JOIN pg_roles AS owner ON owner.oid = reached.owner
JOIN pg_class AS t ON t.oid = reached.relation AND t.relkind IN ('r', 'p')
JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
WHERE tn.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY 1, 2, 5, 6;

-- name: policy_tables
-- The tables that policies of other tables read. They read them with the privileges of who asks.
SELECT DISTINCT d.refobjid::bigint AS oid
FROM pg_depend AS d
JOIN pg_policy AS p ON p.oid = d.objid AND p.polrelid <> d.refobjid
WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_class'::regclass;
