-- The trace that a message or a request to read belongs to (W3C traceparent); null where nothing is traced.

ALTER TABLE {schema}.raw_messages ADD COLUMN traceparent text;
ALTER TABLE {schema}.read_requests ADD COLUMN traceparent text;
