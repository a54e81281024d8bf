-- The rows that the security check reads. Only what the rules name is read: no addresses of mail, no secrets, no hashes.
-- Row-level security is off in the session, so a role that may not see all rows gets an error instead of too few rows.

-- name: columns
-- The columns of these tables, to find out what a release has.
SELECT n.nspname || '.' || c.relname AS table_name, array_agg(a.attname::text) AS columns
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND n.nspname || '.' || c.relname = ANY (%(tables)s)
GROUP BY 1;

-- name: procedures
SELECT namespace, name, sql_query AS query FROM rpc.procedures WHERE enabled ORDER BY namespace, name;

-- name: strong_users
SELECT role, count(*) AS number FROM auth.users WHERE role = ANY (%(roles)s) GROUP BY role ORDER BY role;

-- name: signed_in
-- Whether anybody signed in since then, and whether a security event was logged since then.
SELECT EXISTS (SELECT FROM auth.sessions WHERE created_at > now() - %(days)s * interval '1 day') AS signed_in,
       EXISTS (SELECT FROM logging.entries
               WHERE category = 'security' AND timestamp > now() - %(days)s * interval '1 day') AS logged;

-- name: failures_by_address
-- Addresses with many failed sign-ins in the last 24 hours, and whether a sign-in from there succeeded after the first
-- failure.
WITH events AS (
    SELECT coalesce(host(ip_address), fields ->> 'ip_address') AS address, fields ->> 'security_event' AS event, timestamp
    FROM logging.entries
    WHERE category = 'security' AND timestamp > now() - interval '24 hours'
      AND fields ->> 'security_event' IN ('login_failed', 'login_success')
)
SELECT address,
       count(*) FILTER (WHERE event = 'login_failed') AS failures,
       coalesce(max(timestamp) FILTER (WHERE event = 'login_success')
                > min(timestamp) FILTER (WHERE event = 'login_failed'), false) AS succeeded
FROM events
WHERE address IS NOT NULL
GROUP BY address
HAVING count(*) FILTER (WHERE event = 'login_failed') >= %(least)s
ORDER BY failures DESC, address
LIMIT 20;

-- name: failures_by_account
-- How many accounts have many failed sign-ins in the last 24 hours, and how many were locked.
WITH events AS (
    SELECT coalesce(user_id::text, lower(fields ->> 'email')) AS account, fields ->> 'security_event' AS event
    FROM logging.entries
    WHERE category = 'security' AND timestamp > now() - interval '24 hours'
      AND fields ->> 'security_event' IN ('login_failed', 'account_locked')
)
SELECT (SELECT count(*) FROM (
            SELECT FROM events WHERE event = 'login_failed' AND account IS NOT NULL
            GROUP BY account HAVING count(*) >= %(least)s) AS many) AS accounts,
       (SELECT count(*) FROM events WHERE event = 'account_locked') AS locked;
