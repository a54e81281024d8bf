-- Scheduled rotations: how far each is, which keys it retires, and which notifications it sends. No key, plaintext or
-- sealed value is kept here, and no address of a webhook.

-- One rotation. The new key's version is written down before the key is made, so that whoever goes on after a crash
-- finds the key instead of making another one.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.rotation (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state         text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'finished', 'abandoned')),
    from_version  integer NOT NULL,
    to_version    integer,
    forced        boolean NOT NULL,
    due_at        timestamptz,                    -- the date of the schedule that it makes good
    newest_job    bigint NOT NULL,                -- the newest job when it began
    started_at    timestamptz NOT NULL,
    finished_at   timestamptz,
    error         text                            -- why its last run failed
);
-- The database itself sees to it that there is one unfinished rotation at most.
CREATE UNIQUE INDEX IF NOT EXISTS rotation_one_unfinished ON fluxbase_rotation.rotation ((true))
    WHERE state = 'running';
CREATE TABLE IF NOT EXISTS fluxbase_rotation.rotation_step (
    rotation      bigint NOT NULL REFERENCES fluxbase_rotation.rotation,
    step          text NOT NULL CHECK (step IN ('key', 'activate', 'reload', 're-encrypt', 'census', 'retention')),
    started_at    timestamptz NOT NULL,
    finished_at   timestamptz,
    detail        jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (rotation, step)
);
-- A key that is beyond retention, disabled or destroyed once. Written down before it is done, told after it.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.rotation_retirement (
    version       integer NOT NULL,
    fingerprint   text NOT NULL,
    action        text NOT NULL CHECK (action IN ('disable', 'destroy')),
    rotation      bigint REFERENCES fluxbase_rotation.rotation,
    started_at    timestamptz NOT NULL,
    finished_at   timestamptz,
    PRIMARY KEY (version, fingerprint, action)
);
-- Notifications, written down in the transaction of what they tell, so that none is lost or made twice.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.rotation_notice (
    number        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id            uuid NOT NULL UNIQUE,
    rotation      bigint REFERENCES fluxbase_rotation.rotation,
    kind          text NOT NULL,
    at            timestamptz NOT NULL,
    message       text NOT NULL,
    detail        jsonb NOT NULL DEFAULT '{}',
    ended_at      timestamptz,                    -- delivered, or given up
    error         text                            -- why it was given up
);
