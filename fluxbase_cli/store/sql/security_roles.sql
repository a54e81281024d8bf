-- What the security check reads about roles, functions and settings. The session's search_path is pg_catalog.

-- name: api_roles
-- `anon` and `authenticated`, the privileged roles that they may become, and what they or those roles own.
SELECT r.rolname::text AS name,
       r.rolcanlogin AS can_login,
       r.rolsuper AS superuser,
       r.rolbypassrls AS bypasses_row_security,
       ARRAY(SELECT other.rolname::text FROM pg_roles AS other
             WHERE other.oid <> r.oid
               AND pg_has_role(r.oid, other.oid, 'MEMBER')
               AND NOT r.rolsuper
               AND (other.rolsuper OR other.rolbypassrls OR other.rolcreaterole
                    OR other.rolname IN ('service_role', 'tenant_service', 'pg_read_all_data', 'pg_write_all_data',
                                         'pg_read_server_files', 'pg_write_server_files',
                                         'pg_execute_server_program', 'pg_maintain', 'pg_signal_backend')
                    OR EXISTS (SELECT FROM pg_class AS c WHERE c.relowner = other.oid AND c.relkind IN ('r', 'p')))
             ORDER BY other.rolname) AS strong,
       ARRAY(SELECT n.nspname || '.' || c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
             WHERE c.relowner = r.oid AND c.relkind IN ('r', 'p')
             ORDER BY 1) AS owned
FROM pg_roles AS r
WHERE r.rolname IN ('anon', 'authenticated')
ORDER BY r.rolname;

-- name: server_roles
-- Roles with a login that were made members of `service_role`: the server connects as one of them. And the role with the
-- name of the configuration.
SELECT r.rolname::text AS name,
       r.rolsuper AS superuser,
       r.rolbypassrls AS bypasses_row_security,
       r.rolcreaterole AS creates_roles,
       coalesce(r.rolname = %(configured)s, false) AS configured
FROM pg_roles AS r
WHERE r.rolname = %(configured)s
   OR (r.rolcanlogin AND EXISTS (
          WITH RECURSIVE members (oid) AS (
              SELECT oid FROM pg_roles WHERE rolname = 'service_role'
              UNION
              SELECT m.member FROM members JOIN pg_auth_members AS m ON m.roleid = members.oid
          )
          SELECT FROM members WHERE members.oid = r.oid AND r.rolname <> 'service_role'))
ORDER BY r.rolname;

-- name: creatable
-- Schemas in which `anon` or `authenticated` may create objects, and whether such a schema is on their search_path in this
-- database.
WITH api AS (
    SELECT r.oid, r.rolname,
           -- The setting of the role in this database counts before that of the role, before that of the database.
           coalesce(
               (SELECT substr(setting, 13) FROM pg_db_role_setting AS s, unnest(s.setconfig) AS setting
                WHERE setting LIKE 'search\_path=%%' AND s.setrole IN (r.oid, 0)
                  AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
                ORDER BY s.setrole DESC, s.setdatabase DESC LIMIT 1),
               (SELECT boot_val FROM pg_settings WHERE name = 'search_path')) AS path
    FROM pg_roles AS r WHERE r.rolname IN ('anon', 'authenticated')
)
SELECT n.nspname::text AS schema,
       array_agg(api.rolname::text ORDER BY api.rolname) AS roles,
       bool_or(n.nspname IN (SELECT btrim(CASE btrim(part) WHEN '"$user"' THEN api.rolname ELSE btrim(part) END, '"')
                             FROM unnest(string_to_array(api.path, ',')) AS part)) AS on_path
FROM pg_namespace AS n
JOIN api ON has_schema_privilege(api.oid, n.oid, 'CREATE')
WHERE n.nspname !~ '^pg_(toast|temp)'
GROUP BY n.nspname
ORDER BY n.nspname;

-- name: database_privileges
-- What `anon` and `authenticated` may create in the database itself.
SELECT d.datname::text AS name,
       ARRAY(SELECT r.rolname::text FROM pg_roles AS r
             WHERE r.rolname IN ('anon', 'authenticated') AND has_database_privilege(r.oid, d.oid, 'CREATE')
             ORDER BY r.rolname) AS schema_creators,
       ARRAY(SELECT r.rolname::text FROM pg_roles AS r
             WHERE r.rolname IN ('anon', 'authenticated') AND has_database_privilege(r.oid, d.oid, 'TEMP')
             ORDER BY r.rolname) AS temporary_creators
FROM pg_database AS d WHERE d.datname = current_database();

-- name: functions
-- Functions with SECURITY DEFINER, and functions in PL/pgSQL that run text as SQL. Those of extensions are left out.
SELECT n.nspname::text AS schema,
       p.proname::text AS name,
       pg_get_function_identity_arguments(p.oid) AS arguments,
       CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END AS kind,
       p.prosecdef AS definer,
       EXISTS (SELECT FROM unnest(p.proconfig) AS setting WHERE setting LIKE 'search\_path=%%') AS fixed_path,
       p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype) AS is_trigger,
       ARRAY(SELECT r.rolname::text FROM pg_roles AS r
             WHERE r.rolname IN ('anon', 'authenticated')
               AND has_schema_privilege(r.oid, n.oid, 'USAGE')
               AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
             ORDER BY r.rolname) AS callers,
       CASE WHEN l.lanname = 'plpgsql' THEN p.prosrc END AS source
FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_language AS l ON l.oid = p.prolang
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname !~ '^pg_(toast|temp)'
  AND (p.prosecdef OR (l.lanname = 'plpgsql' AND p.prosrc ~* '\mexecute\M'))
  AND NOT EXISTS (
      SELECT FROM pg_depend AS d
      WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1, 2, 3;

-- name: string_settings
-- Where `standard_conforming_strings` is off: in the server's configuration, for a database, for a role, or for both.
SELECT NULL::text AS database, NULL::text AS role
FROM pg_settings WHERE name = 'standard_conforming_strings' AND reset_val = 'off'
  AND source NOT IN ('database', 'user', 'database user', 'client', 'session')
UNION ALL
SELECT d.datname::text, r.rolname::text
FROM pg_db_role_setting AS s
LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
LEFT JOIN pg_roles AS r ON r.oid = s.setrole
WHERE (s.setdatabase = 0 OR d.datname = current_database())
  AND EXISTS (SELECT FROM unnest(s.setconfig) AS setting
              WHERE setting ~* '^standard_conforming_strings=(off|of|f|false|no|n|0)$')
ORDER BY 1 NULLS FIRST, 2 NULLS FIRST;

-- name: version
SELECT current_setting('server_version_num')::int AS number;
