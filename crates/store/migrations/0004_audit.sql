-- Who asked for, took, deleted, granted and imported what. Each record is chained to the one
-- before: hash is SHA-256 over seq, the hash before (hex) and the record, each with a line feed
-- behind it. The first follows a hash of zeros. Never swept.

CREATE TABLE audit (
    -- 1, 2, 3 … without a gap.
    seq    INTEGER NOT NULL PRIMARY KEY,
    -- JSON, as it was hashed.
    record TEXT NOT NULL,
    hash   BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- No statement of this program changes a record, and none that somebody adds by mistake does.
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT raise(ABORT, 'audit records are never changed');
END;

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN
    SELECT raise(ABORT, 'audit records are never deleted');
END;
