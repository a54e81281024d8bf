-- Runners: the processes that work on a job. A runner is alive while its session holds its advisory lock.
-- Each statement has a name; `store/runners.py` is the only place where a name meets a method.

-- name: register_runner
INSERT INTO fluxbase_rotation.runner (job, host, pid, os_user, db_user, version, workers)
VALUES (%(job)s, %(host)s, %(pid)s, %(os_user)s, session_user, %(version)s, %(workers)s)
RETURNING number;

-- name: take_runner_lock
SELECT pg_try_advisory_lock(%(lock_class)s, %(runner)s);

-- name: heartbeat
-- A slow runner does not lose its leases: they are renewed as long as the runner is alive. But only the leases of
-- shards that its workers work on now: after a crash of the server, a shard that was done may be not done again, and
-- then no worker works on it.
WITH beat AS (
    UPDATE fluxbase_rotation.runner
    SET heartbeat_at = clock_timestamp(), workers = %(workers)s
    WHERE number = %(runner)s
)
UPDATE fluxbase_rotation.shard
SET lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE id IN (
    SELECT id FROM fluxbase_rotation.shard
    WHERE id = ANY (%(shards)s::bigint[]) AND runner = %(runner)s AND NOT done
    FOR UPDATE SKIP LOCKED);

-- name: end_runner
WITH ended AS (
    UPDATE fluxbase_rotation.runner SET ended_at = clock_timestamp() WHERE number = %(runner)s
)
UPDATE fluxbase_rotation.shard SET runner = NULL, lease_until = NULL
WHERE job = %(job)s AND runner = %(runner)s AND NOT done;

-- name: runners
SELECT r.number, r.job, r.host, r.pid, r.os_user, r.db_user, r.version, r.workers,
       r.started_at, r.heartbeat_at, r.ended_at,
       r.ended_at IS NULL AND EXISTS (
           SELECT FROM ({{live_runners}}) AS live WHERE live.number = r.number) AS alive
FROM fluxbase_rotation.runner AS r
WHERE r.job = %(job)s
ORDER BY r.number;

-- name: free_dead_leases
-- A runner whose session is gone can't commit any more, so its shards are free before the lease ends.
UPDATE fluxbase_rotation.shard AS s
SET runner = NULL, lease_until = NULL
WHERE s.job = %(job)s AND s.runner IS NOT NULL AND NOT s.done
  AND NOT EXISTS (
      SELECT FROM ({{live_runners}}) AS live WHERE live.number = s.runner);

-- name: interrupt_if_last
-- A runner that stops leaves the job in state running if another runner still works on it.
UPDATE fluxbase_rotation.job AS j
SET state = %(state)s, error = %(error)s
WHERE j.id = %(job)s
  AND j.state = 'running'
  AND NOT EXISTS (
      SELECT FROM fluxbase_rotation.runner AS r
      WHERE r.job = j.id AND r.number <> %(runner)s AND r.ended_at IS NULL
        AND EXISTS (
            SELECT FROM ({{live_runners}}) AS live WHERE live.number = r.number));

-- name: now
SELECT clock_timestamp() AS now;
