-- Claiming, and asking when the next job is due, without looking through all that wait or have ended.

-- What waits, in the order of its turns, across organizations.
CREATE INDEX jobs_by_turn ON jobs ((run_at - head_start_ms), id) WHERE state = 'queued';
-- What of a lane waits, runs and has ended, with all that a claim asks of it.
CREATE INDEX jobs_of_lane ON jobs (organization_id, lane, state, run_at, head_start_ms, lease_until, name);
DROP INDEX jobs_by_lane;

-- 1 on a job that found nothing to do, as most polls do. Such ones are looked up for an hour and not for a week.
ALTER TABLE jobs ADD COLUMN idle BIGINT NOT NULL DEFAULT 0;
-- What is forgotten after its time, across organizations.
CREATE INDEX jobs_ended ON jobs (idle, finished_at) WHERE finished_at IS NOT NULL;
