-- What the report of a job shows beside its end: how far it was over time, and what it waited for.

-- How far a job was at a moment. A runner adds a row every few seconds. When there are too many rows, every second one
-- is deleted, and the time between two rows is doubled: a long job has as many rows as a short one.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.sample (
    job           bigint NOT NULL REFERENCES fluxbase_rotation.job,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    pass          integer NOT NULL,
    rows_done     bigint NOT NULL,                -- rows that the main pass has processed
    values_done   bigint NOT NULL,                -- values that all passes have read
    every_s       double precision NOT NULL       -- the time until the next row, in seconds
);
CREATE INDEX IF NOT EXISTS sample_job ON fluxbase_rotation.sample (job, at);

-- What a runner has waited for, added up.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.wait (
    job           bigint NOT NULL REFERENCES fluxbase_rotation.job,
    runner        integer NOT NULL,
    cause         text NOT NULL,
    times         bigint NOT NULL,
    seconds       double precision NOT NULL,
    PRIMARY KEY (job, runner, cause)
);
