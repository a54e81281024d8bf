-- What would stop a job, or copy what it writes, besides triggers. Names are qualified: the session's search_path is
-- pg_catalog.

-- name: rules
-- The rewrite rules that an update of these tables would apply: with session_replication_role = replica those of mode
-- ALWAYS and REPLICA, otherwise those of mode ORIGIN and ALWAYS.
SELECT DISTINCT n.nspname || '.' || c.relname AS table_name, w.rulename AS rule_name, w.is_instead
FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS t (schema_name, name)
JOIN pg_namespace AS n ON n.nspname = t.schema_name
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.name
JOIN pg_rewrite AS w ON w.ev_class = c.oid
WHERE w.ev_type = '2'
  AND w.ev_enabled = ANY (CASE WHEN %(quiet)s THEN ARRAY['A', 'R'] ELSE ARRAY['O', 'A'] END::"char"[])
ORDER BY 1, 2;

-- name: derived
-- The generated columns and the indexes whose content is computed from a sealed column. They change with it.
SELECT DISTINCT n.nspname || '.' || c.relname AS table_name, t.column_name,
       CASE WHEN d.classid = 'pg_attrdef'::regclass THEN 'column ' || g.attname ELSE 'index ' || i.relname END AS derived
FROM unnest(%(schemas)s::text[], %(names)s::text[], %(columns)s::text[]) AS t (schema_name, name, column_name)
JOIN pg_namespace AS n ON n.nspname = t.schema_name
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.name
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = t.column_name
JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum
LEFT JOIN pg_class AS i ON d.classid = 'pg_class'::regclass AND i.oid = d.objid AND i.relkind = 'i'
LEFT JOIN pg_attrdef AS f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
LEFT JOIN pg_attribute AS g ON g.attrelid = f.adrelid AND g.attnum = f.adnum AND g.attnum <> a.attnum
LEFT JOIN pg_index AS x ON x.indexrelid = i.oid
-- Indexes without an expression are left out: the server's own tables have indexes of documents, and partial indexes,
-- which depend on the columns of their condition.
WHERE g.attgenerated = 's' OR x.indexprs IS NOT NULL
ORDER BY 1, 2, 3;

-- name: subscriptions
-- The enabled subscriptions that write to these tables.
SELECT DISTINCT s.subname AS name, n.nspname || '.' || c.relname AS table_name
FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS t (schema_name, name)
JOIN pg_namespace AS n ON n.nspname = t.schema_name
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.name
JOIN pg_subscription_rel AS r ON r.srrelid = c.oid
JOIN pg_subscription AS s ON s.oid = r.srsubid
WHERE s.subenabled
ORDER BY 1, 2;

-- name: publications
-- The publications that would publish tables that are created in these schemas, if anybody receives changes of this
-- database.
SELECT DISTINCT p.pubname AS name
FROM pg_publication AS p
WHERE (p.puballtables
       OR EXISTS (SELECT FROM pg_publication_namespace AS s JOIN pg_namespace AS n ON n.oid = s.pnnspid
                  WHERE s.pnpubid = p.oid AND n.nspname = ANY (%(schemas)s::text[])))
  AND (p.pubinsert OR p.pubupdate OR p.pubdelete OR p.pubtruncate)
  AND EXISTS (SELECT FROM pg_replication_slots AS r
              WHERE r.slot_type = 'logical' AND r.database = current_database() AND NOT r.temporary)
ORDER BY 1;

-- name: event_triggers
-- The event triggers that run when tables are created.
SELECT e.evtname AS name FROM pg_event_trigger AS e
WHERE e.evtenabled IN ('O', 'A') AND e.evtevent IN ('ddl_command_start', 'ddl_command_end')
  AND (e.evttags IS NULL OR e.evttags && ARRAY['CREATE SCHEMA', 'CREATE TABLE', 'CREATE INDEX', 'CREATE FUNCTION',
                                               'CREATE TRIGGER', 'ALTER TABLE', 'COMMENT'])
ORDER BY 1;
