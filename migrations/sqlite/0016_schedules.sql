-- When connections and collections are synced, where someone says it.

-- A document; null: as the setting `sync_interval_seconds` says, or with the connection's others. `next_sync_at` is null
-- where there is no schedule.
ALTER TABLE connections ADD COLUMN schedule TEXT;
ALTER TABLE connections ADD COLUMN next_sync_at BIGINT;
ALTER TABLE collections ADD COLUMN schedule TEXT;
ALTER TABLE collections ADD COLUMN next_sync_at BIGINT;
-- What is due by a schedule, without looking through all that have none.
CREATE INDEX connections_by_schedule ON connections (next_sync_at) WHERE next_sync_at IS NOT NULL;
CREATE INDEX collections_by_schedule ON collections (next_sync_at) WHERE next_sync_at IS NOT NULL;
