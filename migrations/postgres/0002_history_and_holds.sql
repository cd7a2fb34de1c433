-- Why each field of a record has its value, newest last; `seq` is dense per record. Read by people only.
CREATE TABLE record_history (
    organization_id TEXT COLLATE "C" NOT NULL,
    record_id       TEXT COLLATE "C" NOT NULL,
    seq             BIGINT NOT NULL,
    version         BIGINT NOT NULL,
    action          TEXT COLLATE "C" NOT NULL,
    path            TEXT COLLATE "C",
    detail          TEXT COLLATE "C" NOT NULL,
    at              BIGINT NOT NULL,
    PRIMARY KEY (organization_id, record_id, seq)
);

-- `hold` goes on to say why, in words; the document has the counts and a sample, the answer what a person said.
ALTER TABLE collections ADD COLUMN hold_detail TEXT COLLATE "C";
ALTER TABLE collections ADD COLUMN hold_answer TEXT COLLATE "C";

-- When an object in quarantine is looked at again. What is in it already is looked at with the next sync.
ALTER TABLE quarantine ADD COLUMN tries BIGINT NOT NULL DEFAULT 0;
ALTER TABLE quarantine ADD COLUMN retry_at BIGINT NOT NULL DEFAULT 0;
