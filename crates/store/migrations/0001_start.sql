-- Exports (which are the queue), the scopes they were accepted under, idempotency keys, grants.
-- Instants are microseconds since 1970-01-01T00:00:00Z. Structured values that are never searched
-- are JSON.

CREATE TABLE scopes (
    digest TEXT NOT NULL PRIMARY KEY,
    pairs  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE exports (
    -- The order of acceptance: the queue's order, never reused.
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    report          TEXT NOT NULL,
    tenant          TEXT NOT NULL,
    principal       TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('Queued', 'Processing', 'Completed', 'Failed')),
    query           TEXT NOT NULL,
    scope           TEXT NOT NULL REFERENCES scopes (digest),
    created_at      INTEGER NOT NULL,
    started_at      INTEGER,
    ended_at        INTEGER,
    failed_attempts INTEGER NOT NULL DEFAULT 0,
    lost_leases     INTEGER NOT NULL DEFAULT 0,
    fence           INTEGER NOT NULL DEFAULT 0,
    -- Held exactly while lease_until is set; released ones have not_before instead.
    lease_node      TEXT,
    lease_until     INTEGER,
    not_before      INTEGER,
    data_version    INTEGER,
    rows_done       INTEGER NOT NULL DEFAULT 0,
    rows_expected   INTEGER,
    file_fence      INTEGER,
    file            TEXT,
    file_expires_at INTEGER,
    failure         TEXT,
    warnings        TEXT NOT NULL DEFAULT '[]',
    revision        INTEGER NOT NULL DEFAULT 0,
    manifest        TEXT,
    CHECK ((ended_at IS NOT NULL) = (status IN ('Completed', 'Failed'))),
    CHECK (lease_until IS NULL OR status = 'Processing'),
    CHECK ((file IS NULL) = (file_fence IS NULL)),
    CHECK (status <> 'Completed' OR rows_done = rows_expected)
) STRICT;

-- The queue: claims, positions and lengths.
CREATE INDEX exports_open ON exports (tenant, status, seq) WHERE ended_at IS NULL;
-- The list, newest first.
CREATE INDEX exports_list ON exports (tenant, created_at, id);
-- Which scopes a tenant's list has, and its totals by scope.
CREATE INDEX exports_tenant_scope ON exports (tenant, scope);
-- Which scopes are still in use.
CREATE INDEX exports_scope ON exports (scope);
CREATE INDEX exports_counts ON exports (report, status);
CREATE INDEX exports_files ON exports (file_expires_at) WHERE file_fence IS NOT NULL;
CREATE INDEX exports_ended ON exports (ended_at) WHERE ended_at IS NOT NULL;

-- When each tenant was served last, as a count of claims: who waited longest goes first.
CREATE TABLE turns (
    tenant TEXT NOT NULL PRIMARY KEY,
    turn   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX turns_turn ON turns (turn);

CREATE TABLE idempotency_keys (
    tenant         TEXT NOT NULL,
    principal      TEXT NOT NULL,
    key            TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    export         TEXT NOT NULL REFERENCES exports (id) ON DELETE CASCADE,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (tenant, principal, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_export ON idempotency_keys (export);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- principal, participant and program are '*' for all, or '=' and the value.
CREATE TABLE grants (
    tenant      TEXT NOT NULL,
    principal   TEXT NOT NULL,
    participant TEXT NOT NULL,
    program     TEXT NOT NULL,
    role        TEXT NOT NULL CHECK (role IN ('viewer', 'admin')),
    until       INTEGER,
    PRIMARY KEY (tenant, principal, participant, program, role)
) STRICT, WITHOUT ROWID;
