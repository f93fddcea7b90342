-- Until when the data version that an Export read is promised to stay readable: the instant that its
-- manifest names. Clearing old versions of the ledger asks for it.
ALTER TABLE exports ADD COLUMN reproducible_until INTEGER;

-- Since when an operator keeps this Export and its file from being deleted; NULL: it goes in time.
ALTER TABLE exports ADD COLUMN held_at INTEGER;
