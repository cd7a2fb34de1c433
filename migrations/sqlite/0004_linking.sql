-- Linking what two collections already hold: found by UID, joined into one record, and what people decided by hand.

-- The UID among a record's fields, so that it can be looked up.
ALTER TABLE records ADD COLUMN uid TEXT;
UPDATE records SET uid = json_extract(content, '$.fields.uid');
CREATE INDEX records_by_uid ON records (organization_id, uid) WHERE deleted = 0 AND uid IS NOT NULL;

-- The record that a retired one was joined into.
ALTER TABLE records ADD COLUMN merged_into TEXT;

-- `apart`: the record is not linked into the collection by itself. `tied`: its link there is not taken apart when a
-- mirror ends.
CREATE TABLE pairings (
    organization_id TEXT NOT NULL,
    collection_id   TEXT NOT NULL,
    record_id       TEXT NOT NULL,
    pairing         TEXT NOT NULL,
    PRIMARY KEY (organization_id, collection_id, record_id),
    FOREIGN KEY (organization_id, collection_id) REFERENCES collections (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (organization_id, record_id) REFERENCES records (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;
CREATE INDEX pairings_by_record ON pairings (organization_id, record_id);
