-- Events: who did what, when, from where and why. Append-only.
-- Each statement has a name; `store/events.py` is the only place where a name meets a method.

-- name: add_event
INSERT INTO fluxbase_rotation.event (job, os_user, host, what, reason, detail)
VALUES (%(job)s, %(os_user)s, %(host)s, %(what)s, %(reason)s, %(detail)s);

-- name: list_events
SELECT at, job, db_user, os_user, host, what, reason, detail
FROM fluxbase_rotation.event
WHERE job = %(job)s
ORDER BY id;

-- name: job_of_run
-- The newest job that a process with that run name worked on.
SELECT job FROM fluxbase_rotation.event
WHERE detail ->> 'run_name' = %(run_name)s AND job IS NOT NULL
ORDER BY id DESC
LIMIT 1;
