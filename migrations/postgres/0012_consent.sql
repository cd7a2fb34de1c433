-- Consent of people at vendors, and what it gave: registrations, links, attempts, grants; and who renews tokens.

-- What makes an app an OAuth client. `endpoints` says where the vendor is, if not where its connector says; what is sealed
-- is the client's secret. Apps of the installation stand under an organization that nobody is of.
CREATE TABLE app_clients (
    organization_id TEXT COLLATE "C" NOT NULL,
    app_id          TEXT COLLATE "C" NOT NULL,
    client_id       TEXT COLLATE "C" NOT NULL,
    endpoints       TEXT COLLATE "C" NOT NULL,
    key_id          TEXT COLLATE "C" NOT NULL,
    nonce           BYTEA NOT NULL,
    sealed          BYTEA NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, app_id),
    FOREIGN KEY (organization_id, app_id) REFERENCES provider_apps (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);

-- Addresses at which people are asked for consent. Of what makes one secret only the digest is kept. `connection_id` is
-- the connection to be repaired or widened; `wanted` what the connection is to be, as a document.
CREATE TABLE connect_links (
    organization_id TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    digest          TEXT COLLATE "C" NOT NULL,
    app_owner       TEXT COLLATE "C" NOT NULL,
    app_id          TEXT COLLATE "C" NOT NULL,
    connection_id   TEXT COLLATE "C",
    wanted          TEXT COLLATE "C" NOT NULL,
    uses_left       BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    created_by      TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX connect_links_by_digest ON connect_links (digest);
CREATE INDEX connect_links_by_expiry ON connect_links (expires_at);

-- Journeys of a browser to a vendor and back. The digests are of the state that comes back and of the cookie that only
-- that browser has; both together make the PKCE verifier, which is nowhere else.
CREATE TABLE consents (
    organization_id TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    state_digest    TEXT COLLATE "C" NOT NULL,
    browser_digest  TEXT COLLATE "C" NOT NULL,
    link_id         TEXT COLLATE "C",
    app_owner       TEXT COLLATE "C" NOT NULL,
    app_id          TEXT COLLATE "C" NOT NULL,
    connection_id   TEXT COLLATE "C",
    wanted          TEXT COLLATE "C" NOT NULL,
    used_at         BIGINT,
    expires_at      BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX consents_by_state ON consents (state_digest);
CREATE INDEX consents_by_expiry ON consents (expires_at);

-- What a connection was granted, through which app, and by whose account. `scopes` is a list as a document.
CREATE TABLE grants (
    organization_id TEXT COLLATE "C" NOT NULL,
    connection_id   TEXT COLLATE "C" NOT NULL,
    app_owner       TEXT COLLATE "C" NOT NULL,
    app_id          TEXT COLLATE "C" NOT NULL,
    account         TEXT COLLATE "C",
    scopes          TEXT COLLATE "C" NOT NULL,
    granted_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, connection_id),
    FOREIGN KEY (organization_id, connection_id) REFERENCES connections (organization_id, id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
-- One account may have given consent to one app in several organizations: giving a token back ends all of them.
CREATE INDEX grants_by_account ON grants (app_owner, app_id, account);

-- Who renews. `generation` grows with each write of credentials, `fence` with each lease: what is written under an older
-- fence is refused. `refused` says that the present generation cannot be renewed, `renew_after` when it may be tried again.
ALTER TABLE credentials ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE credentials ADD COLUMN fence BIGINT NOT NULL DEFAULT 0;
ALTER TABLE credentials ADD COLUMN holder TEXT COLLATE "C";
ALTER TABLE credentials ADD COLUMN lease_until BIGINT;
ALTER TABLE credentials ADD COLUMN refused TEXT COLLATE "C";
ALTER TABLE credentials ADD COLUMN renew_after BIGINT;
ALTER TABLE credentials ADD COLUMN doubtful BIGINT NOT NULL DEFAULT 0;
