-- What the server would log of the values that a session writes. Each statement has a name; `store/server_log.py` is the
-- only place where a name meets a method.

-- name: logged
-- causes: the settings by which parameters or plans are logged. needed: the settings that this session could not change.
-- checked: the CHECK constraints that may fail when a sealed column is written; the error shows the beginning of the row.
WITH setting (name, value, parameter) AS (
    SELECT name, current_setting(name, true), parameter
    FROM (VALUES
        ('log_min_duration_statement', 'log_parameter_max_length'),
        ('log_min_duration_sample', 'log_parameter_max_length'),
        ('log_transaction_sample_rate', 'log_parameter_max_length'),
        ('log_statement', 'log_parameter_max_length'),
        ('pgaudit.log', 'pgaudit.log_parameter'),
        ('auto_explain.log_min_duration', 'auto_explain.log_min_duration')
    ) AS known (name, parameter)
), logging AS (
    SELECT name, value, parameter FROM setting
    WHERE CASE name
        WHEN 'log_statement' THEN value IN ('mod', 'all')
        WHEN 'log_transaction_sample_rate' THEN value <> '0'
        WHEN 'pgaudit.log' THEN value NOT IN ('', 'none')
        ELSE value <> '-1'
    END
      AND CASE parameter
        WHEN 'log_parameter_max_length' THEN current_setting(parameter) <> '0'
        WHEN 'pgaudit.log_parameter' THEN current_setting(parameter, true) = 'on'
        ELSE true
    END
), wanted AS (
    SELECT c.oid, n.nspname, c.relname, array_agg(a.attnum) AS sealed
    FROM unnest(%(schemas)s::text[], %(names)s::text[], %(columns)s::text[]) AS t (schema_name, name, column_name)
    JOIN pg_namespace AS n ON n.nspname = t.schema_name
    JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.name
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = t.column_name
    GROUP BY c.oid, n.nspname, c.relname
)
SELECT ARRAY(SELECT format('%%s = %%s', name, value) FROM logging ORDER BY name) AS causes,
       ARRAY(SELECT DISTINCT parameter FROM logging ORDER BY parameter) AS needed,
       ARRAY(SELECT format('%%s on %%s.%%s', k.conname, w.nspname, w.relname)
             FROM pg_constraint AS k JOIN wanted AS w ON w.oid = k.conrelid
             WHERE k.contype = 'c' AND (NOT k.convalidated OR k.conkey && w.sealed)
             ORDER BY 1) AS checked,
       current_setting('log_error_verbosity') <> 'terse' AS shows_rows;
