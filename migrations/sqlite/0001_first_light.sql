-- The tables of the first release. Rules: ../README.md.

-- About the installation itself: the fingerprint of the master key.
CREATE TABLE installation (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE organizations (
    organization_id TEXT   NOT NULL PRIMARY KEY,
    name            TEXT   NOT NULL,
    created_at      BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE api_keys (
    organization_id TEXT   NOT NULL REFERENCES organizations (organization_id) ON DELETE CASCADE,
    id              TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    prefix          TEXT   NOT NULL,
    secret_sha256   TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    last_used_at    BIGINT,
    revoked_at      BIGINT,
    PRIMARY KEY (organization_id, id)
) WITHOUT ROWID;
-- The one look-up that starts from a secret and ends at an organization.
CREATE UNIQUE INDEX api_keys_by_secret ON api_keys (secret_sha256);

CREATE TABLE connections (
    organization_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    provider        TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    owner           TEXT,
    config          TEXT   NOT NULL,
    health          TEXT   NOT NULL,
    health_reason   TEXT,
    discovered_at   BIGINT,
    synced_at       BIGINT,
    attempted_at    BIGINT,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
) WITHOUT ROWID;

CREATE TABLE credentials (
    organization_id TEXT   NOT NULL,
    connection_id   TEXT   NOT NULL,
    purpose         TEXT   NOT NULL,
    key_id          TEXT   NOT NULL,
    nonce           BLOB   NOT NULL,
    sealed          BLOB   NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, connection_id, purpose),
    FOREIGN KEY (organization_id, connection_id) REFERENCES connections (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;

CREATE TABLE collections (
    organization_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    connection_id   TEXT   NOT NULL,
    remote_id       TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    access          TEXT   NOT NULL,
    fields          TEXT   NOT NULL,
    cursor          TEXT,
    enumerated_at   BIGINT,
    enabled         BIGINT NOT NULL,
    hold            TEXT,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, connection_id) REFERENCES connections (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;
CREATE UNIQUE INDEX collections_by_remote ON collections (organization_id, connection_id, remote_id);

CREATE TABLE records (
    organization_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    version         BIGINT NOT NULL,
    content         TEXT   NOT NULL,
    clocks          TEXT   NOT NULL,
    home            TEXT,
    deleted         BIGINT NOT NULL,
    starts_at       BIGINT,
    ends_at         BIGINT,
    search          TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX records_by_kind ON records (organization_id, kind, id) WHERE deleted = 0;
CREATE INDEX records_by_time ON records (organization_id, starts_at, ends_at)
    WHERE deleted = 0 AND starts_at IS NOT NULL;

-- `hub` is NULL where it equals `remote`, which it does on most links.
CREATE TABLE links (
    organization_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    record_id       TEXT   NOT NULL,
    connection_id   TEXT   NOT NULL,
    collection_id   TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    revision        BIGINT NOT NULL,
    state           TEXT   NOT NULL,
    reason          TEXT,
    parts           TEXT   NOT NULL,
    remote          TEXT   NOT NULL,
    hub             TEXT,
    local           TEXT   NOT NULL,
    held            TEXT   NOT NULL,
    dirty           BIGINT NOT NULL,
    removing        BIGINT NOT NULL,
    attempts        BIGINT NOT NULL,
    not_before      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, record_id) REFERENCES records (organization_id, id)
        DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (organization_id, collection_id) REFERENCES collections (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
-- At most one link per record and collection.
CREATE UNIQUE INDEX links_by_collection ON links (organization_id, collection_id, record_id);
CREATE INDEX links_by_record ON links (organization_id, record_id);
CREATE INDEX links_to_send ON links (organization_id, connection_id, not_before, id) WHERE dirty = 1;

-- The look-up from a remote object to its link; `links.parts` says the same from the other side.
CREATE TABLE link_parts (
    organization_id TEXT NOT NULL,
    collection_id   TEXT NOT NULL,
    remote_id       TEXT NOT NULL,
    version         TEXT,
    link_id         TEXT NOT NULL,
    part            TEXT NOT NULL,
    PRIMARY KEY (organization_id, collection_id, remote_id),
    FOREIGN KEY (organization_id, link_id) REFERENCES links (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;
CREATE INDEX link_parts_by_link ON link_parts (organization_id, link_id);

-- Objects as the provider gave them. `encoding`: 0 as they are, 1 deflated.
CREATE TABLE raws (
    organization_id TEXT   NOT NULL,
    link_id         TEXT   NOT NULL,
    part            TEXT   NOT NULL,
    encoding        BIGINT NOT NULL,
    raw             BLOB   NOT NULL,
    PRIMARY KEY (organization_id, link_id, part),
    FOREIGN KEY (organization_id, link_id) REFERENCES links (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);

CREATE TABLE intents (
    organization_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    link_id         TEXT   NOT NULL,
    connection_id   TEXT   NOT NULL,
    part            TEXT   NOT NULL,
    action          TEXT   NOT NULL,
    sent            TEXT   NOT NULL,
    changed         TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, link_id) REFERENCES links (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;
CREATE INDEX intents_by_connection ON intents (organization_id, connection_id);
CREATE INDEX intents_by_link ON intents (organization_id, link_id);

CREATE TABLE mirrors (
    organization_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    policy          TEXT   NOT NULL,
    field_owners    TEXT   NOT NULL,
    target_edits    TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
) WITHOUT ROWID;

CREATE TABLE mirror_members (
    organization_id TEXT   NOT NULL,
    mirror_id       TEXT   NOT NULL,
    position        BIGINT NOT NULL,
    collection_id   TEXT   NOT NULL,
    role            TEXT   NOT NULL,
    PRIMARY KEY (organization_id, mirror_id, position),
    FOREIGN KEY (organization_id, mirror_id) REFERENCES mirrors (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (organization_id, collection_id) REFERENCES collections (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;
CREATE INDEX mirror_members_by_collection ON mirror_members (organization_id, collection_id);

CREATE TABLE conflicts (
    organization_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    record_id       TEXT   NOT NULL,
    link_id         TEXT   NOT NULL,
    path            TEXT,
    base            TEXT,
    hub             TEXT,
    remote          TEXT,
    winner          TEXT,
    rule            TEXT   NOT NULL,
    resolved_at     BIGINT,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
) WITHOUT ROWID;
CREATE INDEX conflicts_by_record ON conflicts (organization_id, record_id);

CREATE TABLE quarantine (
    organization_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    collection_id   TEXT   NOT NULL,
    remote_id       TEXT   NOT NULL,
    version         TEXT,
    reason          TEXT   NOT NULL,
    encoding        BIGINT NOT NULL,
    raw             BLOB   NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, collection_id) REFERENCES collections (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE UNIQUE INDEX quarantine_by_remote ON quarantine (organization_id, collection_id, remote_id);

-- The last `seq` of each feed. Its row is locked until the commit, so that no reader sees n+1 before n.
CREATE TABLE feed_heads (
    organization_id TEXT   NOT NULL PRIMARY KEY,
    seq             BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE changes (
    organization_id TEXT   NOT NULL,
    seq             BIGINT NOT NULL,
    action          TEXT   NOT NULL,
    subject         TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    version         BIGINT NOT NULL,
    changed         TEXT   NOT NULL,
    origin          TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    PRIMARY KEY (organization_id, seq)
) WITHOUT ROWID;

CREATE TABLE jobs (
    organization_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    task            TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    lane            TEXT   NOT NULL,
    state           TEXT   NOT NULL,
    run_at          BIGINT NOT NULL,
    attempts        BIGINT NOT NULL,
    token           BIGINT NOT NULL,
    node            TEXT,
    lease_until     BIGINT,
    done            BIGINT NOT NULL,
    total           BIGINT,
    result          TEXT,
    failure_code    TEXT,
    failure_message TEXT,
    created_at      BIGINT NOT NULL,
    started_at      BIGINT,
    finished_at     BIGINT,
    PRIMARY KEY (organization_id, id)
) WITHOUT ROWID;
-- A fence names a job without its organization.
CREATE UNIQUE INDEX jobs_by_id ON jobs (id);
-- Of identical jobs one waits at most; whoever enqueues another joins it.
CREATE UNIQUE INDEX jobs_waiting ON jobs (organization_id, task) WHERE state = 'queued';
CREATE INDEX jobs_by_lane ON jobs (organization_id, lane, state);
-- Jobs are claimed across organizations.
CREATE INDEX jobs_to_claim ON jobs (state, run_at) WHERE state IN ('queued', 'running');

CREATE TABLE idempotency_keys (
    organization_id TEXT   NOT NULL,
    idempotency_key TEXT   NOT NULL,
    request_hash    TEXT   NOT NULL,
    status          BIGINT,
    body            TEXT,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, idempotency_key)
);
