-- The trace context that a request came with, as W3C's `traceparent`: what a worker does for it
-- belongs to the same trace. Empty where nobody traces.
ALTER TABLE exports ADD COLUMN trace TEXT;
