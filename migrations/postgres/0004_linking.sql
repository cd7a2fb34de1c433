-- Linking what two collections already hold: found by UID, joined into one record, and what people decided by hand.

-- The UID among a record's fields, so that it can be looked up. (There are no records yet: a database on PostgreSQL
-- begins with all of these steps.)
ALTER TABLE records ADD COLUMN uid TEXT COLLATE "C";
CREATE INDEX records_by_uid ON records (organization_id, uid) WHERE deleted = 0 AND uid IS NOT NULL;

-- The record that a retired one was joined into.
ALTER TABLE records ADD COLUMN merged_into TEXT COLLATE "C";

-- `apart`: the record is not linked into the collection by itself. `tied`: its link there is not taken apart when a
-- mirror ends.
CREATE TABLE pairings (
    organization_id TEXT COLLATE "C" NOT NULL,
    collection_id   TEXT COLLATE "C" NOT NULL,
    record_id       TEXT COLLATE "C" NOT NULL,
    pairing         TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (organization_id, collection_id, record_id),
    FOREIGN KEY (organization_id, collection_id) REFERENCES collections (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (organization_id, record_id) REFERENCES records (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX pairings_by_record ON pairings (organization_id, record_id);
