-- The statements for wrapped keys. Each has a name; `store/wrapped_keys.py` is the only place where a name meets a
-- method.

-- name: old_table_exists
-- Before version 8 the table was in the schema of progress.
SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'fluxbase_rotation' AND tablename = 'wrapped_key') AS there;

-- name: all_keys_before_008
SELECT version, provider, kms_key_id, ciphertext, fingerprint, created_at, rewrapped_at
FROM fluxbase_rotation.wrapped_key
ORDER BY version;

-- name: all_keys
SELECT version, provider, kms_key_id, ciphertext, fingerprint, created_at, rewrapped_at
FROM fluxbase_keys.wrapped_key
ORDER BY version;

-- name: add_key
INSERT INTO fluxbase_keys.wrapped_key (version, provider, kms_key_id, ciphertext, fingerprint)
VALUES (%(version)s, %(provider)s, %(kms_key_id)s, %(ciphertext)s, %(fingerprint)s)
RETURNING version, provider, kms_key_id, ciphertext, fingerprint, created_at, rewrapped_at;

-- name: replace_key
-- Compare-and-set: a rewrap by another process at the same moment must not be overwritten.
UPDATE fluxbase_keys.wrapped_key
SET kms_key_id = %(kms_key_id)s, ciphertext = %(ciphertext)s, rewrapped_at = clock_timestamp()
WHERE version = %(version)s AND ciphertext = %(old)s
RETURNING version, provider, kms_key_id, ciphertext, fingerprint, created_at, rewrapped_at;

-- name: delete_key
DELETE FROM fluxbase_keys.wrapped_key WHERE version = %(version)s RETURNING version;
