-- What only the reports of jobs and rotations need. Each statement has a name; `store/evidence.py` is the only place where
-- a name meets a method.

-- name: identity
SELECT current_database() AS name, current_setting('server_version') AS server_version,
       CASE WHEN has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')
            THEN (SELECT system_identifier::text FROM pg_control_system()) END AS cluster,
       clock_timestamp() AS now, session_user::text AS role;

-- name: quarantine_digest
-- A digest of the whole list, which may be longer than what a report has. The order does not depend on the collation.
SELECT encode(sha256(coalesce(string_agg(q.digest, ''::bytea ORDER BY q.digest), ''::bytea)), 'hex') AS digest
FROM (
    SELECT sha256(convert_to(jsonb_build_array(location, row_id, path, reason)::text, 'UTF8')) AS digest
    FROM fluxbase_rotation.quarantine WHERE job = %(job)s) AS q;

-- name: first_jobs
-- When the first job to each version was completed.
SELECT to_version AS version, min(finished_at) AS at
FROM fluxbase_rotation.job WHERE state = 'completed' GROUP BY to_version;

-- name: rotation
SELECT * FROM fluxbase_rotation.rotation WHERE id = %(rotation)s;

-- name: newest_rotation
SELECT coalesce(max(id), 0) AS id FROM fluxbase_rotation.rotation;

-- name: jobs_of_rotations
-- Which job belongs to which rotation: the one that its step names; and each that was begun during the rotation and moves
-- values to the new version or back. The numbers of the jobs count too, because the times of a rotation are rounded.
SELECT r.id AS rotation, j.id AS job
FROM fluxbase_rotation.rotation AS r
JOIN fluxbase_rotation.job AS j ON j.id > r.newest_job
WHERE j.id IN (
        SELECT (s.detail ->> 'job')::bigint FROM fluxbase_rotation.rotation_step AS s
        WHERE s.rotation = r.id AND s.step = 're-encrypt')
   OR ((j.to_version = r.to_version OR (j.kind = 'rollback' AND j.to_version = r.from_version))
       AND j.id <= coalesce((SELECT min(n.newest_job) FROM fluxbase_rotation.rotation AS n WHERE n.id > r.id), j.id)
       AND (r.finished_at IS NULL OR j.created_at <= r.finished_at))
ORDER BY j.id;

-- name: why
-- Why a rotation was begun, as its first notification says.
SELECT detail ->> 'reason' AS why FROM fluxbase_rotation.rotation_notice
WHERE rotation = %(rotation)s AND kind = 'rotation.started' ORDER BY number LIMIT 1;

-- name: retirements
SELECT version, fingerprint, action, started_at, finished_at FROM fluxbase_rotation.rotation_retirement
WHERE rotation = %(rotation)s ORDER BY started_at, version;
