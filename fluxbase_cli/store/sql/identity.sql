-- What tells one database from another.

-- name: database
SELECT d.datname::text AS name, d.oid::bigint AS oid, clock_timestamp() AS now
FROM pg_database AS d WHERE d.datname = current_database();

-- name: may_name_cluster
SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may;

-- name: cluster
SELECT system_identifier::text AS identifier FROM pg_control_system();
