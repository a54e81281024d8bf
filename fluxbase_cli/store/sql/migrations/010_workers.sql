-- The number of workers of a running job (`secrets tune --concurrency`). Statements that must work on older tables read
-- this column through to_jsonb(), as those of 002_control.sql.
ALTER TABLE fluxbase_rotation.job
    ADD COLUMN IF NOT EXISTS workers        integer;            -- of all runners together
