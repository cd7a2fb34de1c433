-- Why each field of a record has its value, newest last; `seq` is dense per record. Read by people only.
CREATE TABLE record_history (
    organization_id TEXT   NOT NULL,
    record_id       TEXT   NOT NULL,
    seq             BIGINT NOT NULL,
    version         BIGINT NOT NULL,
    action          TEXT   NOT NULL,
    path            TEXT,
    detail          TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    PRIMARY KEY (organization_id, record_id, seq)
) WITHOUT ROWID;

-- `hold` goes on to say why, in words; the document has the counts and a sample, the answer what a person said.
ALTER TABLE collections ADD COLUMN hold_detail TEXT;
ALTER TABLE collections ADD COLUMN hold_answer TEXT;

-- When an object in quarantine is looked at again. What is in it already is looked at with the next sync.
ALTER TABLE quarantine ADD COLUMN tries BIGINT NOT NULL DEFAULT 0;
ALTER TABLE quarantine ADD COLUMN retry_at BIGINT NOT NULL DEFAULT 0;
