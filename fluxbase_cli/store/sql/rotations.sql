-- The scheduled rotation: how far it is, which keys it retires, and its notifications. No key, plaintext or sealed
-- value is stored here, and no address of a webhook.

-- name: tables_exist
SELECT EXISTS (
    SELECT FROM pg_tables WHERE schemaname = 'fluxbase_rotation' AND tablename = 'rotation_notice'
) AS there;

-- name: try_lock
SELECT pg_try_advisory_lock(%(lock_class)s, 0) AS taken;

-- name: newest_job
SELECT coalesce(max(id), 0) AS id FROM fluxbase_rotation.job;

-- name: used_versions
-- All versions that were a target, of a job or of a rotation that did not begin its job.
SELECT to_version AS version FROM fluxbase_rotation.job
UNION SELECT to_version FROM fluxbase_rotation.rotation WHERE to_version IS NOT NULL;

-- name: completed_job
-- The completed job of a rotation, for the case that its runner was killed before it could record that.
SELECT id FROM fluxbase_rotation.job
WHERE id > %(after)s AND kind = 're-encrypt' AND state = 'completed' AND to_version = %(version)s
ORDER BY id DESC LIMIT 1;

-- name: rollback_since
SELECT id, to_version FROM fluxbase_rotation.job
WHERE id > %(after)s AND kind = 'rollback' AND to_version <> %(version)s
ORDER BY id DESC LIMIT 1;

-- name: begin
INSERT INTO fluxbase_rotation.rotation (from_version, forced, due_at, newest_job, started_at)
VALUES (%(from_version)s, %(forced)s, %(due_at)s, %(newest_job)s, %(now)s)
RETURNING *;

-- name: unfinished
SELECT * FROM fluxbase_rotation.rotation WHERE state = 'running';

-- name: newest
SELECT * FROM fluxbase_rotation.rotation ORDER BY id DESC LIMIT 1;

-- name: newest_finished
SELECT * FROM fluxbase_rotation.rotation WHERE state = 'finished' ORDER BY id DESC LIMIT 1;

-- name: activated_at
-- When a rotation last made a version the active one, or last started a server with its key.
SELECT max(s.finished_at) AS at
FROM fluxbase_rotation.rotation_step AS s JOIN fluxbase_rotation.rotation AS r ON r.id = s.rotation
WHERE r.to_version = %(version)s AND s.step IN ('activate', 'start');

-- name: choose_version
UPDATE fluxbase_rotation.rotation SET to_version = %(version)s WHERE id = %(rotation)s AND to_version IS NULL;

-- name: end
UPDATE fluxbase_rotation.rotation SET state = %(state)s, finished_at = %(now)s, error = NULL WHERE id = %(rotation)s;

-- name: set_error
UPDATE fluxbase_rotation.rotation SET error = %(error)s WHERE id = %(rotation)s;

-- name: steps
SELECT step, started_at, finished_at, detail FROM fluxbase_rotation.rotation_step
WHERE rotation = %(rotation)s ORDER BY started_at;

-- name: returned_version
SELECT r.to_version, r.state = 'abandoned' AND EXISTS (
    SELECT FROM fluxbase_rotation.rotation_step AS s
    WHERE s.rotation = r.id AND s.step = 'return' AND s.finished_at IS NOT NULL) AS returned
FROM fluxbase_rotation.rotation AS r WHERE r.to_version IS NOT NULL ORDER BY r.id DESC LIMIT 1;

-- name: begin_step
INSERT INTO fluxbase_rotation.rotation_step (rotation, step, started_at) VALUES (%(rotation)s, %(step)s, %(now)s)
ON CONFLICT DO NOTHING;

-- name: end_step
UPDATE fluxbase_rotation.rotation_step SET finished_at = %(now)s, detail = %(detail)s
WHERE rotation = %(rotation)s AND step = %(step)s AND finished_at IS NULL;

-- name: begin_retirement
INSERT INTO fluxbase_rotation.rotation_retirement (version, fingerprint, action, rotation, started_at)
VALUES (%(version)s, %(fingerprint)s, %(action)s, %(rotation)s, %(now)s)
ON CONFLICT DO NOTHING;

-- name: end_retirement
UPDATE fluxbase_rotation.rotation_retirement SET finished_at = %(now)s
WHERE version = %(version)s AND fingerprint = %(fingerprint)s AND action = %(action)s AND finished_at IS NULL;

-- name: drop_retirement
DELETE FROM fluxbase_rotation.rotation_retirement
WHERE version = %(version)s AND fingerprint = %(fingerprint)s AND action = %(action)s AND finished_at IS NULL;

-- name: open_retirements
SELECT version, fingerprint, action FROM fluxbase_rotation.rotation_retirement
WHERE finished_at IS NULL ORDER BY started_at;

-- name: add_notice
INSERT INTO fluxbase_rotation.rotation_notice (id, rotation, kind, at, message, detail)
VALUES (%(id)s, %(rotation)s, %(kind)s, %(at)s, %(message)s, %(detail)s)
ON CONFLICT (id) DO NOTHING RETURNING id;

-- name: open_notices
SELECT id, rotation, kind, at, message, detail FROM fluxbase_rotation.rotation_notice
WHERE ended_at IS NULL ORDER BY number;

-- name: end_notice
UPDATE fluxbase_rotation.rotation_notice SET ended_at = %(now)s, error = %(error)s
WHERE id = %(id)s AND ended_at IS NULL;
