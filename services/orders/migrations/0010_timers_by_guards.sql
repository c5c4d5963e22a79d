-- Two timers of one kind may be due at one instant: a later delivery under a shorter policy. Each is a row of
-- its own; only the same timer, guards included, is not written twice. Guards keep the text they came with.
ALTER TABLE {schema}.timers DROP CONSTRAINT timers_stream_id_kind_due_at_key;
CREATE UNIQUE INDEX timers_once ON {schema}.timers (stream_id, kind, due_at, (guards::text));
