-- What lists show about the rows of a relation, besides their sealed values.

-- name: columns
-- The columns of a relation that the current role may read, with their types. A domain counts as its base type.
SELECT a.attname::text AS name, coalesce(nullif(t.typbasetype, 0), t.oid)::regtype::text AS type
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
WHERE n.nspname = %(schema)s AND c.relname = %(name)s
  AND has_column_privilege(c.oid, a.attnum, 'SELECT');
