-- Outbound webhooks: endpoints with their secrets, what is delivered to them, and every attempt.

-- `cursor`: the last `seq` of the feed from which deliveries were made. Whoever holds the lease sends.
CREATE TABLE webhook_endpoints (
    organization_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    url             TEXT   NOT NULL,
    kinds           TEXT   NOT NULL,
    actions         TEXT   NOT NULL,
    connections     TEXT   NOT NULL,
    rate            BIGINT,
    ordered         BIGINT NOT NULL,
    state           TEXT   NOT NULL,
    reason          TEXT,
    cursor          BIGINT NOT NULL,
    failing_since   BIGINT,
    node            TEXT,
    lease_until     BIGINT,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
) WITHOUT ROWID;

CREATE TABLE webhook_secrets (
    organization_id TEXT   NOT NULL,
    endpoint_id     TEXT   NOT NULL,
    number          BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT,
    key_id          TEXT   NOT NULL,
    nonce           BLOB   NOT NULL,
    sealed          BLOB   NOT NULL,
    PRIMARY KEY (organization_id, endpoint_id, number),
    FOREIGN KEY (organization_id, endpoint_id) REFERENCES webhook_endpoints (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;

-- `seq` names the change that is told; NULL for a test. `lane`: of those that share one, the next waits for the one
-- before it; NULL where order does not matter.
CREATE TABLE outbound_deliveries (
    organization_id TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    endpoint_id     TEXT   NOT NULL,
    seq             BIGINT,
    subject         TEXT   NOT NULL,
    lane            TEXT,
    state           TEXT   NOT NULL,
    attempts        BIGINT NOT NULL,
    next_at         BIGINT NOT NULL,
    deadline        BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    ended_at        BIGINT,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, endpoint_id) REFERENCES webhook_endpoints (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;
CREATE INDEX outbound_deliveries_by_endpoint ON outbound_deliveries (organization_id, endpoint_id, id);
CREATE INDEX outbound_deliveries_due ON outbound_deliveries (organization_id, endpoint_id, next_at)
    WHERE state = 'pending';
CREATE INDEX outbound_deliveries_in_order ON outbound_deliveries (organization_id, endpoint_id, lane, seq)
    WHERE state = 'pending' AND lane IS NOT NULL;

CREATE TABLE outbound_attempts (
    organization_id TEXT   NOT NULL,
    delivery_id     TEXT   NOT NULL,
    number          BIGINT NOT NULL,
    at              BIGINT NOT NULL,
    took_ms         BIGINT NOT NULL,
    outcome         TEXT   NOT NULL,
    status          BIGINT,
    detail          TEXT,
    PRIMARY KEY (organization_id, delivery_id, number)
) WITHOUT ROWID;
