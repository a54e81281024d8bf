-- Replaces the fingerprint of one key by another. Each statement has a name; `store/fingerprints.py` is the only place
-- where a name meets a method.

-- name: found
SELECT EXISTS (SELECT FROM fluxbase_keys.key WHERE fingerprint = %(old)s)
    OR EXISTS (SELECT FROM fluxbase_keys.wrapped_key WHERE fingerprint = %(old)s)
    OR EXISTS (SELECT FROM fluxbase_rotation.job WHERE strpos(fingerprints::text, %(old)s) > 0)
    OR EXISTS (SELECT FROM fluxbase_rotation.rotation_step WHERE strpos(detail::text, %(old)s) > 0)
    OR EXISTS (SELECT FROM fluxbase_rotation.rotation_retirement WHERE fingerprint = %(old)s)
    OR EXISTS (SELECT FROM fluxbase_rotation.rotation_notice WHERE strpos(detail::text || message, %(old)s) > 0)
    AS found;

-- name: key
UPDATE fluxbase_keys.key AS k SET fingerprint = %(new)s
WHERE k.fingerprint = %(old)s AND NOT EXISTS (
    SELECT FROM fluxbase_keys.key AS o WHERE o.version = k.version AND o.fingerprint = %(new)s
);

-- name: wrapped_key
UPDATE fluxbase_keys.wrapped_key SET fingerprint = %(new)s WHERE fingerprint = %(old)s;

-- name: job
UPDATE fluxbase_rotation.job SET fingerprints = replace(fingerprints::text, %(old)s, %(new)s)::jsonb
WHERE strpos(fingerprints::text, %(old)s) > 0;

-- name: rotation_step
UPDATE fluxbase_rotation.rotation_step SET detail = replace(detail::text, %(old)s, %(new)s)::jsonb
WHERE strpos(detail::text, %(old)s) > 0;

-- name: rotation_retirement
UPDATE fluxbase_rotation.rotation_retirement SET fingerprint = %(new)s WHERE fingerprint = %(old)s;

-- name: rotation_notice
UPDATE fluxbase_rotation.rotation_notice
SET message = replace(message, %(old)s, %(new)s), detail = replace(detail::text, %(old)s, %(new)s)::jsonb
WHERE strpos(detail::text || message, %(old)s) > 0;
