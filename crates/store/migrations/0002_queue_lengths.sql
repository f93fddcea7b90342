-- How many Exports of a tenant are queued, counted by blocks of 1,024 acceptance numbers: the
-- length of a queue and a place in it are sums over few rows, whatever the number of Exports.
-- Kept by triggers, so that whoever writes Exports, whichever way, keeps it right.

CREATE TABLE queue_blocks (
    tenant TEXT NOT NULL,
    -- seq >> 10
    block  INTEGER NOT NULL,
    queued INTEGER NOT NULL,
    PRIMARY KEY (tenant, block)
) STRICT, WITHOUT ROWID;

INSERT INTO queue_blocks (tenant, block, queued)
SELECT tenant, seq >> 10, count(*) FROM exports WHERE status = 'Queued' AND ended_at IS NULL GROUP BY 1, 2;

CREATE TRIGGER exports_enters_queue AFTER INSERT ON exports WHEN new.status = 'Queued'
BEGIN
    INSERT INTO queue_blocks (tenant, block, queued) VALUES (new.tenant, new.seq >> 10, 1)
    ON CONFLICT (tenant, block) DO UPDATE SET queued = queued + 1;
END;

-- No move leads back into the queue.
CREATE TRIGGER exports_leaves_queue AFTER UPDATE OF status ON exports
WHEN old.status = 'Queued' AND new.status <> 'Queued'
BEGIN
    UPDATE queue_blocks SET queued = queued - 1 WHERE tenant = old.tenant AND block = old.seq >> 10;
    DELETE FROM queue_blocks WHERE tenant = old.tenant AND block = old.seq >> 10 AND queued = 0;
END;

CREATE TRIGGER exports_deleted_from_queue AFTER DELETE ON exports WHEN old.status = 'Queued'
BEGIN
    UPDATE queue_blocks SET queued = queued - 1 WHERE tenant = old.tenant AND block = old.seq >> 10;
    DELETE FROM queue_blocks WHERE tenant = old.tenant AND block = old.seq >> 10 AND queued = 0;
END;

-- Grows with every change of the grants: what is remembered of them holds while it stands still.
CREATE TABLE grants_version (
    one     INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;

INSERT INTO grants_version (one, version) VALUES (1, 1);

CREATE TRIGGER grants_added AFTER INSERT ON grants
BEGIN
    UPDATE grants_version SET version = version + 1;
END;

CREATE TRIGGER grants_changed AFTER UPDATE ON grants
BEGIN
    UPDATE grants_version SET version = version + 1;
END;

CREATE TRIGGER grants_removed AFTER DELETE ON grants
BEGIN
    UPDATE grants_version SET version = version + 1;
END;

-- Covers what the queue is asked for: without ended_at in it every entry means a look at its row.
DROP INDEX exports_open;
CREATE INDEX exports_open ON exports (tenant, status, seq, ended_at) WHERE ended_at IS NULL;
