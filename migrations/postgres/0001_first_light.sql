-- The tables of the first release. Rules: ../README.md. Texts are collated "C": sorted byte by byte, as SQLite does.

-- About the installation itself: the fingerprint of the master key.
CREATE TABLE installation (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE organizations (
    organization_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name            TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT NOT NULL
);

CREATE TABLE api_keys (
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (organization_id) ON DELETE CASCADE,
    id              TEXT COLLATE "C" NOT NULL,
    name            TEXT COLLATE "C" NOT NULL,
    prefix          TEXT COLLATE "C" NOT NULL,
    secret_sha256   TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT NOT NULL,
    last_used_at    BIGINT,
    revoked_at      BIGINT,
    PRIMARY KEY (organization_id, id)
);
-- The one look-up that starts from a secret and ends at an organization.
CREATE UNIQUE INDEX api_keys_by_secret ON api_keys (secret_sha256);

CREATE TABLE connections (
    organization_id TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    provider        TEXT COLLATE "C" NOT NULL,
    name            TEXT COLLATE "C" NOT NULL,
    owner           TEXT COLLATE "C",
    config          TEXT COLLATE "C" NOT NULL,
    health          TEXT COLLATE "C" NOT NULL,
    health_reason   TEXT COLLATE "C",
    discovered_at   BIGINT,
    synced_at       BIGINT,
    attempted_at    BIGINT,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE TABLE credentials (
    organization_id TEXT COLLATE "C" NOT NULL,
    connection_id   TEXT COLLATE "C" NOT NULL,
    purpose         TEXT COLLATE "C" NOT NULL,
    key_id          TEXT COLLATE "C" NOT NULL,
    nonce           BYTEA  NOT NULL,
    sealed          BYTEA  NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, connection_id, purpose),
    FOREIGN KEY (organization_id, connection_id) REFERENCES connections (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);

CREATE TABLE collections (
    organization_id TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    connection_id   TEXT COLLATE "C" NOT NULL,
    remote_id       TEXT COLLATE "C" NOT NULL,
    kind            TEXT COLLATE "C" NOT NULL,
    name            TEXT COLLATE "C" NOT NULL,
    access          TEXT COLLATE "C" NOT NULL,
    fields          TEXT COLLATE "C" NOT NULL,
    cursor          TEXT COLLATE "C",
    enumerated_at   BIGINT,
    enabled         BIGINT NOT NULL,
    hold            TEXT COLLATE "C",
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, connection_id) REFERENCES connections (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE UNIQUE INDEX collections_by_remote ON collections (organization_id, connection_id, remote_id);

CREATE TABLE records (
    organization_id TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    kind            TEXT COLLATE "C" NOT NULL,
    version         BIGINT NOT NULL,
    content         TEXT COLLATE "C" NOT NULL,
    clocks          TEXT COLLATE "C" NOT NULL,
    home            TEXT COLLATE "C",
    deleted         BIGINT NOT NULL,
    starts_at       BIGINT,
    ends_at         BIGINT,
    search          TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX records_by_kind ON records (organization_id, kind, id) WHERE deleted = 0;
CREATE INDEX records_by_time ON records (organization_id, starts_at, ends_at)
    WHERE deleted = 0 AND starts_at IS NOT NULL;

-- `hub` is NULL where it equals `remote`, which it does on most links.
CREATE TABLE links (
    organization_id TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    record_id       TEXT COLLATE "C" NOT NULL,
    connection_id   TEXT COLLATE "C" NOT NULL,
    collection_id   TEXT COLLATE "C" NOT NULL,
    kind            TEXT COLLATE "C" NOT NULL,
    revision        BIGINT NOT NULL,
    state           TEXT COLLATE "C" NOT NULL,
    reason          TEXT COLLATE "C",
    parts           TEXT COLLATE "C" NOT NULL,
    remote          TEXT COLLATE "C" NOT NULL,
    hub             TEXT COLLATE "C",
    local           TEXT COLLATE "C" NOT NULL,
    held            TEXT COLLATE "C" NOT NULL,
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
    organization_id TEXT COLLATE "C" NOT NULL,
    collection_id   TEXT COLLATE "C" NOT NULL,
    remote_id       TEXT COLLATE "C" NOT NULL,
    version         TEXT COLLATE "C",
    link_id         TEXT COLLATE "C" NOT NULL,
    part            TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (organization_id, collection_id, remote_id),
    FOREIGN KEY (organization_id, link_id) REFERENCES links (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX link_parts_by_link ON link_parts (organization_id, link_id);

-- Objects as the provider gave them. `encoding`: 0 as they are, 1 deflated.
CREATE TABLE raws (
    organization_id TEXT COLLATE "C" NOT NULL,
    link_id         TEXT COLLATE "C" NOT NULL,
    part            TEXT COLLATE "C" NOT NULL,
    encoding        BIGINT NOT NULL,
    raw             BYTEA  NOT NULL,
    PRIMARY KEY (organization_id, link_id, part),
    FOREIGN KEY (organization_id, link_id) REFERENCES links (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);

CREATE TABLE intents (
    organization_id TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    link_id         TEXT COLLATE "C" NOT NULL,
    connection_id   TEXT COLLATE "C" NOT NULL,
    part            TEXT COLLATE "C" NOT NULL,
    action          TEXT COLLATE "C" NOT NULL,
    sent            TEXT COLLATE "C" NOT NULL,
    changed         TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, link_id) REFERENCES links (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX intents_by_connection ON intents (organization_id, connection_id);
CREATE INDEX intents_by_link ON intents (organization_id, link_id);

CREATE TABLE mirrors (
    organization_id TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    name            TEXT COLLATE "C" NOT NULL,
    kind            TEXT COLLATE "C" NOT NULL,
    policy          TEXT COLLATE "C" NOT NULL,
    field_owners    TEXT COLLATE "C" NOT NULL,
    target_edits    TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE TABLE mirror_members (
    organization_id TEXT COLLATE "C" NOT NULL,
    mirror_id       TEXT COLLATE "C" NOT NULL,
    position        BIGINT NOT NULL,
    collection_id   TEXT COLLATE "C" NOT NULL,
    role            TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (organization_id, mirror_id, position),
    FOREIGN KEY (organization_id, mirror_id) REFERENCES mirrors (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (organization_id, collection_id) REFERENCES collections (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX mirror_members_by_collection ON mirror_members (organization_id, collection_id);

CREATE TABLE conflicts (
    organization_id TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    record_id       TEXT COLLATE "C" NOT NULL,
    link_id         TEXT COLLATE "C" NOT NULL,
    path            TEXT COLLATE "C",
    base            TEXT COLLATE "C",
    hub             TEXT COLLATE "C",
    remote          TEXT COLLATE "C",
    winner          TEXT COLLATE "C",
    rule            TEXT COLLATE "C" NOT NULL,
    resolved_at     BIGINT,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX conflicts_by_record ON conflicts (organization_id, record_id);

CREATE TABLE quarantine (
    organization_id TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    collection_id   TEXT COLLATE "C" NOT NULL,
    remote_id       TEXT COLLATE "C" NOT NULL,
    version         TEXT COLLATE "C",
    reason          TEXT COLLATE "C" NOT NULL,
    encoding        BIGINT NOT NULL,
    raw             BYTEA  NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, collection_id) REFERENCES collections (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE UNIQUE INDEX quarantine_by_remote ON quarantine (organization_id, collection_id, remote_id);

-- The last `seq` of each feed. Its row is locked until the commit, so that no reader sees n+1 before n.
CREATE TABLE feed_heads (
    organization_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    seq             BIGINT NOT NULL
);

CREATE TABLE changes (
    organization_id TEXT COLLATE "C" NOT NULL,
    seq             BIGINT NOT NULL,
    action          TEXT COLLATE "C" NOT NULL,
    subject         TEXT COLLATE "C" NOT NULL,
    kind            TEXT COLLATE "C" NOT NULL,
    version         BIGINT NOT NULL,
    changed         TEXT COLLATE "C" NOT NULL,
    origin          TEXT COLLATE "C" NOT NULL,
    at              BIGINT NOT NULL,
    PRIMARY KEY (organization_id, seq)
);

CREATE TABLE jobs (
    organization_id TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    task            TEXT COLLATE "C" NOT NULL,
    name            TEXT COLLATE "C" NOT NULL,
    lane            TEXT COLLATE "C" NOT NULL,
    state           TEXT COLLATE "C" NOT NULL,
    run_at          BIGINT NOT NULL,
    attempts        BIGINT NOT NULL,
    token           BIGINT NOT NULL,
    node            TEXT COLLATE "C",
    lease_until     BIGINT,
    done            BIGINT NOT NULL,
    total           BIGINT,
    result          TEXT COLLATE "C",
    failure_code    TEXT COLLATE "C",
    failure_message TEXT COLLATE "C",
    created_at      BIGINT NOT NULL,
    started_at      BIGINT,
    finished_at     BIGINT,
    PRIMARY KEY (organization_id, id)
);
-- A fence names a job without its organization.
CREATE UNIQUE INDEX jobs_by_id ON jobs (id);
-- Of identical jobs one waits at most; whoever enqueues another joins it.
CREATE UNIQUE INDEX jobs_waiting ON jobs (organization_id, task) WHERE state = 'queued';
CREATE INDEX jobs_by_lane ON jobs (organization_id, lane, state);
-- Jobs are claimed across organizations.
CREATE INDEX jobs_to_claim ON jobs (state, run_at) WHERE state IN ('queued', 'running');

CREATE TABLE idempotency_keys (
    organization_id TEXT COLLATE "C" NOT NULL,
    idempotency_key TEXT COLLATE "C" NOT NULL,
    request_hash    TEXT COLLATE "C" NOT NULL,
    status          BIGINT,
    body            TEXT COLLATE "C",
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, idempotency_key)
);
