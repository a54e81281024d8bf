-- The progress tables of jobs. They hold fingerprints, counts and positions; never a key, a plaintext or a sealed
-- value. The Fluxbase server does not use this schema.

CREATE SCHEMA IF NOT EXISTS fluxbase_rotation;

-- One job: it moves values to the target version.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.job (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('re-encrypt', 'rollback')),
    state         text NOT NULL DEFAULT 'running'
                  CHECK (state IN ('running', 'interrupted', 'failed', 'completed', 'superseded')),
    from_version  integer,
    to_version    integer NOT NULL,
    reason        text,
    fingerprints  jsonb NOT NULL,                 -- {"1": "...", "2": "..."}: runners with other keys can't join
    catalogue     text NOT NULL,                  -- digest of the list of sealed locations, for the same reason
    pass          integer NOT NULL DEFAULT 0,     -- 0 is the main pass, from 1 on the catch-up passes
    began         xid8 NOT NULL,                  -- transactions from this one on began after the job
    horizon       xid8 NOT NULL,                  -- transactions below this one had ended when the current pass began
    news_from     xid8,                           -- the same for the pass before: a catch-up pass reads what came since
    storage       text[] NOT NULL,                -- the relations' files, and what fires on them: see `storage` in jobs.sql
    full_census   boolean NOT NULL DEFAULT false, -- open our own writes again, because a trigger may have changed them
    total_rows    bigint NOT NULL DEFAULT 0,
    remaining     bigint,
    error         text,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at   timestamptz
);

-- The database enforces that at most one job is unfinished.
CREATE UNIQUE INDEX IF NOT EXISTS job_one_unfinished ON fluxbase_rotation.job ((true))
    WHERE state IN ('running', 'interrupted', 'failed');

-- One process that works, or worked, on a job. It is alive as long as its session holds the advisory lock `number`.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.runner (
    number        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job           bigint NOT NULL REFERENCES fluxbase_rotation.job,
    host          text NOT NULL,
    pid           integer NOT NULL,
    os_user       text NOT NULL,
    db_user       text NOT NULL,
    version       text NOT NULL,
    workers       integer NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at      timestamptz
);

-- A range of pages of one relation, processed once for each lane (the columns are named `stride` and strides). Positions
-- are ctids as numbers, block * 65536 + line.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.shard (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job           bigint NOT NULL REFERENCES fluxbase_rotation.job,
    pass          integer NOT NULL,
    table_name    text NOT NULL,                  -- as in the catalogue of sealed locations
    relation      text NOT NULL,                  -- the table itself, or one of its partitions
    first         bigint NOT NULL,                -- the shard begins after this ctid
    upto          bigint NOT NULL,                -- the shard ends before this ctid
    strides       integer NOT NULL,
    stride        integer NOT NULL DEFAULT 0,
    cursor        bigint NOT NULL,                -- in this lane all rows up to this ctid are done
    done          boolean NOT NULL DEFAULT false,
    rows_done     bigint NOT NULL DEFAULT 0,
    counts        jsonb NOT NULL DEFAULT '{}',    -- {column: {count: n}}
    unwritten     bigint NOT NULL DEFAULT 0,      -- rows that could not be written
    runner        integer,
    lease_until   timestamptz
) WITH (fillfactor = 50);
CREATE INDEX IF NOT EXISTS shard_open ON fluxbase_rotation.shard (job, pass, id) WHERE NOT done;

-- The transactions that wrote sealed values, so that a catch-up pass can tell our row versions from those of others.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.batch (
    job           bigint NOT NULL REFERENCES fluxbase_rotation.job,
    xid           xid8 NOT NULL
);
CREATE INDEX IF NOT EXISTS batch_job ON fluxbase_rotation.batch (job);

-- Undecryptable values: where they are and why, never the values.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.quarantine (
    job           bigint NOT NULL REFERENCES fluxbase_rotation.job,
    location      text NOT NULL,
    row_id        uuid NOT NULL,
    path          text[] NOT NULL DEFAULT '{}',
    reason        text NOT NULL,
    found_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job, location, row_id, path)
);

-- Who did what, when, from where and why. Append-only, enforced below.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.event (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    job           bigint,
    db_user       text NOT NULL DEFAULT session_user,
    os_user       text NOT NULL,
    host          text NOT NULL,
    what          text NOT NULL,
    reason        text,
    detail        jsonb NOT NULL DEFAULT '{}'
);

CREATE OR REPLACE FUNCTION fluxbase_rotation.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'fluxbase_rotation.event is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE OR REPLACE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON fluxbase_rotation.event
    FOR EACH STATEMENT EXECUTE FUNCTION fluxbase_rotation.refuse_change();
-- ALWAYS: it also fires under session_replication_role = replica, which our batches set.
ALTER TABLE fluxbase_rotation.event ENABLE ALWAYS TRIGGER event_is_append_only;
