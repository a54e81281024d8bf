-- Keys wrapped by a key of a key management service. Without that key, which never leaves the service, nobody can use
-- them: neither who reads this table nor who holds a backup of it. PRIMARY KEY: a version is wrapped once.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.wrapped_key (
    version       integer PRIMARY KEY CHECK (version > 0),
    provider      text NOT NULL,                  -- which key provider unwraps it
    kms_key_id    text NOT NULL,                  -- the key that wraps it
    ciphertext    bytea NOT NULL,
    fingerprint   text NOT NULL,                  -- of the key itself
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    rewrapped_at  timestamptz
);
