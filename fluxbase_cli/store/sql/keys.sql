-- The history of keys. It holds the fingerprint of a key and nothing else of it.

-- name: key_events
SELECT e.at, e.what, e.db_user, e.os_user, e.host, e.reason, e.detail, k.version, k.fingerprint
FROM fluxbase_keys.event AS e JOIN fluxbase_keys.key AS k ON k.id = e.key
WHERE e.what = ANY (%(kinds)s)
ORDER BY e.id;

-- name: key_events_before_008
-- The same, where the events of keys are still with those of jobs.
SELECT at, what, db_user, os_user, host, reason, detail,
       (detail ->> 'version')::integer AS version,
       detail ->> 'fingerprint' AS fingerprint
FROM fluxbase_rotation.event
WHERE what = ANY (%(kinds)s) AND detail ? 'version' AND detail ? 'fingerprint'
ORDER BY id;

-- name: add_key
INSERT INTO fluxbase_keys.key (version, fingerprint) VALUES (%(version)s, %(fingerprint)s)
ON CONFLICT (version, fingerprint) DO NOTHING;

-- name: add_key_event
INSERT INTO fluxbase_keys.event (key, os_user, host, what, reason, detail)
SELECT k.id, %(os_user)s, %(host)s, %(what)s, %(reason)s, %(detail)s
FROM fluxbase_keys.key AS k WHERE k.version = %(version)s AND k.fingerprint = %(fingerprint)s;

-- name: pinned
SELECT version, fingerprint FROM fluxbase_keys.key WHERE pinned_at IS NOT NULL;

-- name: pin
-- The first key of a version that is used. The unique index of pinned keys decides if two processes pin at once.
UPDATE fluxbase_keys.key AS k SET pinned_at = clock_timestamp()
WHERE k.version = %(version)s AND k.fingerprint = %(fingerprint)s AND k.pinned_at IS NULL
  AND NOT EXISTS (SELECT FROM fluxbase_keys.key AS o WHERE o.version = k.version AND o.pinned_at IS NOT NULL);

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
