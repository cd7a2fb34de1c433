-- What was done at vendors in their own words, and what a key may do beyond the organization's own records; and what is
-- told of credentials and links.

-- A list as a document. Keys that were made before may do nothing of it.
ALTER TABLE api_keys ADD COLUMN permissions TEXT NOT NULL DEFAULT '[]';

-- Calls with a connection's credentials: written before the call is made. `ended_at` is null while nobody knows how it
-- ended; `status` is the vendor's, `failure` says why there is none.
CREATE TABLE audit (
    organization_id TEXT NOT NULL,
    id              TEXT NOT NULL,
    action          TEXT NOT NULL,
    key_id          TEXT NOT NULL,
    request_id      TEXT,
    connection_id   TEXT NOT NULL,
    method          TEXT NOT NULL,
    target          TEXT NOT NULL,
    request_bytes   BIGINT NOT NULL,
    status          BIGINT,
    failure         TEXT,
    response_bytes  BIGINT,
    at              BIGINT NOT NULL,
    ended_at        BIGINT,
    PRIMARY KEY (organization_id, id)
) WITHOUT ROWID;
CREATE INDEX audit_by_time ON audit (at);

-- Why credentials are not renewed, for a reason that only people can put right; told with the connection's health until
-- they are renewed.
ALTER TABLE credentials ADD COLUMN trouble TEXT;
-- When the last use of a link was taken.
ALTER TABLE connect_links ADD COLUMN used_up_at BIGINT;
CREATE INDEX connect_links_used_up ON connect_links (used_up_at) WHERE used_up_at IS NOT NULL;
