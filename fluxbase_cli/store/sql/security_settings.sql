-- What the security check reads of the server's settings: switches, by their names. Names are qualified: the session's
-- search_path is pg_catalog.

-- name: app_settings
SELECT key, value -> 'value' AS value
FROM app.settings
WHERE key = ANY (%(keys)s::text[]);
