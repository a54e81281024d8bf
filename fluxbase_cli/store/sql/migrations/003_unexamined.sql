-- What a job could not examine at its end. With such an entry the job is not completed.
CREATE TABLE IF NOT EXISTS fluxbase_rotation.unexamined (
    job           bigint NOT NULL REFERENCES fluxbase_rotation.job,
    kind          text NOT NULL,
    place         text NOT NULL,
    reason        text NOT NULL,
    PRIMARY KEY (job, kind, place)
);
