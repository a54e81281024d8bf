-- The control settings of a job (`secrets pause`, `secrets tune`). Statements that must work on the tables of version 1
-- read these columns through to_jsonb(), which gives NULL for a column that does not exist.
ALTER TABLE fluxbase_rotation.job
    ADD COLUMN IF NOT EXISTS paused_at      timestamptz,        -- set while the job is paused
    ADD COLUMN IF NOT EXISTS paused_by      text,               -- "user on host"
    ADD COLUMN IF NOT EXISTS pause_reason   text,
    ADD COLUMN IF NOT EXISTS max_rate       double precision,   -- values per second, of all runners together
    ADD COLUMN IF NOT EXISTS batch_size     integer,            -- rows; overrides the size of the command line
    ADD COLUMN IF NOT EXISTS max_lag_s      double precision,   -- how far standbys may be behind
    ADD COLUMN IF NOT EXISTS max_lag_bytes  bigint;
