-- Keys wrapped by a key of a key management service. That key never leaves the service, and without it nobody can use
-- the wrapped keys: not with this table, and not with a backup of it. PRIMARY KEY: a version is wrapped once.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.wrapped_key (
    version       integer PRIMARY KEY CHECK (version > 0),
    provider      text NOT NULL,                  -- which key provider unwraps it
    kms_key_id    text NOT NULL,                  -- the key that wraps it
    ciphertext    bytea NOT NULL,
    fingerprint   text NOT NULL,                  -- the fingerprint of the unwrapped key
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    rewrapped_at  timestamptz
);
