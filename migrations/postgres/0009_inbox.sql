-- What providers send to the webhook addresses, durable before it is answered.

-- `source` is what a delivery id is unique within: the connection, or the provider app while nobody owns it.
-- `route_key` is empty at an address of the connection's own. `head` is the request without its body, as a document;
-- `encoding` as in `raws`, and `body_bytes` what it was before.
CREATE TABLE inbox (
    organization_id TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    source          TEXT COLLATE "C" NOT NULL,
    connection_id   TEXT COLLATE "C",
    provider_app_id TEXT COLLATE "C",
    route_key       TEXT COLLATE "C" NOT NULL,
    provider        TEXT COLLATE "C" NOT NULL,
    delivery_id     TEXT COLLATE "C",
    head            TEXT COLLATE "C" NOT NULL,
    encoding        BIGINT NOT NULL,
    body            BYTEA  NOT NULL,
    body_bytes      BIGINT NOT NULL,
    trace_id        TEXT COLLATE "C",
    received_at     BIGINT NOT NULL,
    state           TEXT COLLATE "C" NOT NULL,
    attempts        BIGINT NOT NULL DEFAULT 0,
    due_at          BIGINT NOT NULL,
    outcome         TEXT COLLATE "C",
    error           TEXT COLLATE "C",
    finished_at     BIGINT,
    PRIMARY KEY (organization_id, id)
);
-- A delivery is taken once: the second of the same id is not stored, in the very statement that would.
CREATE UNIQUE INDEX inbox_once ON inbox (organization_id, source, delivery_id, route_key) WHERE delivery_id IS NOT NULL;
CREATE INDEX inbox_waiting ON inbox (organization_id, connection_id, id) WHERE state = 'waiting';
CREATE INDEX inbox_parked ON inbox (organization_id, provider_app_id, route_key, id) WHERE state = 'parked';
-- What is forgotten after its time, across organizations.
CREATE INDEX inbox_ended ON inbox (finished_at) WHERE finished_at IS NOT NULL;

-- How new the last observation of a remote object was that a webhook brought, and the version it spoke of. A row
-- without an ordering says that the object's link is gone: what comes late of it is not taken at its word.
CREATE TABLE observed (
    organization_id TEXT COLLATE "C" NOT NULL,
    collection_id   TEXT COLLATE "C" NOT NULL,
    remote_id       TEXT COLLATE "C" NOT NULL,
    ordering        BIGINT,
    version         TEXT COLLATE "C",
    at              BIGINT NOT NULL,
    PRIMARY KEY (organization_id, collection_id, remote_id),
    FOREIGN KEY (organization_id, collection_id) REFERENCES collections (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);

-- Registrations at vendors that serve many connections through one address.
CREATE TABLE provider_apps (
    organization_id TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    provider        TEXT COLLATE "C" NOT NULL,
    name            TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
);

-- Under which keys the deliveries at an app's address find their connections; derived from the connections' settings.
CREATE TABLE connection_routes (
    organization_id TEXT COLLATE "C" NOT NULL,
    provider        TEXT COLLATE "C" NOT NULL,
    route_key       TEXT COLLATE "C" NOT NULL,
    connection_id   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (organization_id, provider, route_key, connection_id),
    FOREIGN KEY (organization_id, connection_id) REFERENCES connections (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX connection_routes_by_connection ON connection_routes (organization_id, connection_id);

-- What webhooks are verified with, sealed. `owner` is a connection or a provider app; of those that sign, two live at a
-- time, the newest first in use.
CREATE TABLE hook_secrets (
    organization_id TEXT COLLATE "C" NOT NULL,
    owner           TEXT COLLATE "C" NOT NULL,
    key_id          TEXT COLLATE "C" NOT NULL,
    nonce           BYTEA  NOT NULL,
    sealed          BYTEA  NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, owner)
);

-- The look-ups that start from a webhook's address and end at an organization. Ids are random; no key of a table says so,
-- since every key begins with the organization, by which tables can be divided.
CREATE INDEX connections_by_id ON connections (id);
CREATE INDEX provider_apps_by_id ON provider_apps (id);

-- Live work goes before what has waited for less than this longer: before polls and backfill, and nobody starves.
ALTER TABLE jobs ADD COLUMN head_start_ms BIGINT NOT NULL DEFAULT 0;
