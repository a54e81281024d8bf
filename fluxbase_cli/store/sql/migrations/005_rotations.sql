-- Scheduled rotations: how far each is, which keys it retires, and which notifications it sends. No key, plaintext or
-- sealed value is stored here, and no address of a webhook.

-- One rotation. The version of the new key is stored before the key is created. So after a crash the next run finds the
-- key and does not create another one.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.rotation (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state         text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'finished', 'abandoned')),
    from_version  integer NOT NULL,
    to_version    integer,
    forced        boolean NOT NULL,
    due_at        timestamptz,                    -- the date of the schedule for which it runs
    newest_job    bigint NOT NULL,                -- the newest job when it began
    started_at    timestamptz NOT NULL,
    finished_at   timestamptz,
    error         text                            -- why its last run failed
);
-- The database enforces that at most one rotation is unfinished.
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
-- A key that is beyond the retention. It is disabled once and destroyed once. Stored before it is done; the
-- notification is sent after it.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.rotation_retirement (
    version       integer NOT NULL,
    fingerprint   text NOT NULL,
    action        text NOT NULL CHECK (action IN ('disable', 'destroy')),
    rotation      bigint REFERENCES fluxbase_rotation.rotation,
    started_at    timestamptz NOT NULL,
    finished_at   timestamptz,
    PRIMARY KEY (version, fingerprint, action)
);
-- Notifications, stored in the transaction of the change that they report, so that none is lost or created twice.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.rotation_notice (
    number        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id            uuid NOT NULL UNIQUE,
    rotation      bigint REFERENCES fluxbase_rotation.rotation,
    kind          text NOT NULL,
    at            timestamptz NOT NULL,
    message       text NOT NULL,
    detail        jsonb NOT NULL DEFAULT '{}',
    ended_at      timestamptz,                    -- when it was delivered, or the tool stopped trying
    error         text                            -- why it was not delivered
);
