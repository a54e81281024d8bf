-- The request of `secrets stop` to end a job. Statements that must work on older tables read these columns through
-- to_jsonb(), as those of 002_control.sql.
ALTER TABLE fluxbase_rotation.job
    ADD COLUMN IF NOT EXISTS stopped_at     timestamptz,        -- set until somebody resumes the job
    ADD COLUMN IF NOT EXISTS stopped_by     text,               -- "user on host"
    ADD COLUMN IF NOT EXISTS stop_reason    text;
