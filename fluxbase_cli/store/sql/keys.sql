-- The history of keys, from the append-only events. These hold the fingerprint of a key and nothing else of it.

-- name: key_events
SELECT at, what, db_user, os_user, host, reason, detail,
       (detail ->> 'version')::integer AS version,
       detail ->> 'fingerprint' AS fingerprint
FROM fluxbase_rotation.event
WHERE what = ANY (%(kinds)s) AND detail ? 'version' AND detail ? 'fingerprint'
ORDER BY id;

-- name: rotations
-- All versions that were the target of a job, and when the last job to each was completed.
SELECT to_version AS version, max(finished_at) FILTER (WHERE state = 'completed') AS finished_at
FROM fluxbase_rotation.job
GROUP BY to_version;

-- name: moved
-- The first re-encryption to a version that no completed job to another version followed.
SELECT to_version AS version, min(finished_at) AS at
FROM fluxbase_rotation.job AS j
WHERE kind = 're-encrypt' AND state = 'completed' AND NOT EXISTS (
    SELECT FROM fluxbase_rotation.job AS later
    WHERE later.id > j.id AND later.state = 'completed' AND later.to_version <> j.to_version
)
GROUP BY to_version;

-- name: newest_job
SELECT coalesce(max(id), 0) AS id FROM fluxbase_rotation.job;

-- name: jobs_begun
-- How many jobs were begun here, and from here in the databases of branches and tenants.
SELECT (SELECT count(*) FROM fluxbase_rotation.job)
       + (SELECT count(*) FROM fluxbase_rotation.event WHERE what = 'began-beside') AS number;
