-- The databases of branches and tenants.

-- name: lists
-- The lists of these databases, if they are ordinary tables here. In a tenant's database they are foreign tables.
SELECT n.nspname || '.' || c.relname AS table_name
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
  AND (n.nspname, c.relname) IN (('branching', 'branches'), ('platform', 'tenants'))
  -- Up to 2026.3.6 there are no tenants. A table of that name belongs to the operator then.
  AND (n.nspname = 'branching'
       OR ARRAY['dashboard'] <> ARRAY(SELECT pn.nspname::text
                                      FROM pg_class AS p JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
                                      WHERE p.relname = 'oauth_providers' AND pn.nspname IN ('dashboard', 'platform')));

-- name: branch_databases
-- Dropped branches stay in the list, so check that the database exists.
SELECT DISTINCT b.database_name AS name
FROM branching.branches AS b
JOIN pg_database AS d ON d.datname = b.database_name
WHERE d.datname <> current_database()
ORDER BY 1;

-- name: tenant_databases
SELECT DISTINCT t.db_name AS name
FROM platform.tenants AS t
JOIN pg_database AS d ON d.datname = t.db_name
WHERE d.datname <> current_database()
ORDER BY 1;

-- name: exists
SELECT EXISTS (SELECT FROM pg_database WHERE datname = %(name)s) AS found;

-- name: unlisted_branches
-- Databases with the name of a branch, if there is no list of branches.
SELECT datname::text AS name FROM pg_database WHERE datname LIKE 'branch\_%%' AND datname <> current_database() ORDER BY 1;
