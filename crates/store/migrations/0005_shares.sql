-- What a fair share and the limits of tenants are reckoned from.

-- Whose queues there are and the head of each: (tenant, principal) pairs are stepped through, and
-- the first entry of a pair is its oldest queued Export.
CREATE INDEX exports_queued ON exports (tenant, principal, seq) WHERE status = 'Queued';
-- What was begun and has not ended: running, or let go of for another attempt. Few.
CREATE INDEX exports_begun ON exports (tenant, principal, seq) WHERE status = 'Processing';

-- When each principal was served last, within its tenant; see turns.
CREATE TABLE principal_turns (
    tenant    TEXT NOT NULL,
    principal TEXT NOT NULL,
    turn      INTEGER NOT NULL,
    PRIMARY KEY (tenant, principal)
) STRICT, WITHOUT ROWID;

-- How many Exports are queued in all: one row, so that nobody adds up blocks to know it.
CREATE TABLE queue_length (
    one    INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    queued INTEGER NOT NULL
) STRICT;

INSERT INTO queue_length (one, queued)
SELECT 1, count(*) FROM exports WHERE status = 'Queued' AND ended_at IS NULL;

DROP TRIGGER exports_enters_queue;
DROP TRIGGER exports_leaves_queue;
DROP TRIGGER exports_deleted_from_queue;

CREATE TRIGGER exports_enters_queue AFTER INSERT ON exports WHEN new.status = 'Queued'
BEGIN
    INSERT INTO queue_blocks (tenant, block, queued) VALUES (new.tenant, new.seq >> 10, 1)
    ON CONFLICT (tenant, block) DO UPDATE SET queued = queued + 1;
    UPDATE queue_length SET queued = queued + 1 WHERE one = 1;
END;

-- No move leads back into the queue.
CREATE TRIGGER exports_leaves_queue AFTER UPDATE OF status ON exports
WHEN old.status = 'Queued' AND new.status <> 'Queued'
BEGIN
    UPDATE queue_blocks SET queued = queued - 1 WHERE tenant = old.tenant AND block = old.seq >> 10;
    DELETE FROM queue_blocks WHERE tenant = old.tenant AND block = old.seq >> 10 AND queued = 0;
    UPDATE queue_length SET queued = queued - 1 WHERE one = 1;
END;

CREATE TRIGGER exports_deleted_from_queue AFTER DELETE ON exports WHEN old.status = 'Queued'
BEGIN
    UPDATE queue_blocks SET queued = queued - 1 WHERE tenant = old.tenant AND block = old.seq >> 10;
    DELETE FROM queue_blocks WHERE tenant = old.tenant AND block = old.seq >> 10 AND queued = 0;
    UPDATE queue_length SET queued = queued - 1 WHERE one = 1;
END;

-- The room that published files take, by tenant. Changed only when a file comes or goes.
CREATE TABLE file_bytes (
    tenant TEXT NOT NULL PRIMARY KEY,
    bytes  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO file_bytes (tenant, bytes)
SELECT tenant, sum(file ->> 'size_bytes') FROM exports WHERE file_fence IS NOT NULL GROUP BY tenant;

CREATE TRIGGER exports_file_comes AFTER UPDATE OF file ON exports WHEN new.file IS NOT NULL AND old.file IS NULL
BEGIN
    INSERT INTO file_bytes (tenant, bytes) VALUES (new.tenant, new.file ->> 'size_bytes')
    ON CONFLICT (tenant) DO UPDATE SET bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER exports_file_goes AFTER UPDATE OF file ON exports WHEN new.file IS NULL AND old.file IS NOT NULL
BEGIN
    UPDATE file_bytes SET bytes = bytes - (old.file ->> 'size_bytes') WHERE tenant = old.tenant;
    DELETE FROM file_bytes WHERE tenant = old.tenant AND bytes = 0;
END;

CREATE TRIGGER exports_file_deleted AFTER DELETE ON exports WHEN old.file IS NOT NULL
BEGIN
    UPDATE file_bytes SET bytes = bytes - (old.file ->> 'size_bytes') WHERE tenant = old.tenant;
    DELETE FROM file_bytes WHERE tenant = old.tenant AND bytes = 0;
END;
