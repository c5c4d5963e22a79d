-- Read requests go out in the order of their numbers (AC-13). An order that waits already is asked for anew
-- under a new number: a reading that has begun is older than the news that now asks, and the number under
-- which it went out must not remove the newer request.
ALTER TABLE {schema}.read_requests
    ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    ADD COLUMN traceparent text;

-- The relay removes what Kafka has acknowledged.
GRANT DELETE ON {schema}.read_requests TO {role};

CREATE FUNCTION {schema}.keep_read_requests(p_add json) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    IF json_typeof(p_add -> 'read_requests') IS DISTINCT FROM 'array' THEN
        RETURN;
    END IF;
    INSERT INTO read_requests (connection, external_id, reason, traceparent)
    SELECT DISTINCT ON (connection, external_id) connection, external_id, reason, traceparent
    FROM json_to_recordset(p_add -> 'read_requests')
        AS r(connection text, external_id text, reason text, traceparent text)
    ON CONFLICT (connection, external_id) DO UPDATE
        SET id = DEFAULT, reason = excluded.reason, traceparent = excluded.traceparent,
            requested_at = clock_timestamp();
    IF FOUND THEN
        NOTIFY {schema}_reads;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION {schema}.keep_read_requests FROM PUBLIC;

-- As in 0006, and the read requests.
CREATE OR REPLACE FUNCTION {schema}.keep_rows(p_add json, p_remove json) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    IF p_remove IS NOT NULL THEN
        DELETE FROM parked USING (SELECT (json_array_elements_text(p_remove -> 'parked'))::bigint AS id) r
        WHERE parked.id = r.id;
        DELETE FROM waiting USING (SELECT (json_array_elements_text(p_remove -> 'waiting'))::bigint AS id) r
        WHERE waiting.id = r.id;
        DELETE FROM timers USING (SELECT (json_array_elements_text(p_remove -> 'timers'))::bigint AS id) r
        WHERE timers.id = r.id;
        DELETE FROM read_requests
        USING json_to_recordset(p_remove -> 'read_requests') AS r(connection text, external_id text)
        WHERE read_requests.connection = r.connection AND read_requests.external_id = r.external_id;
    END IF;
    IF p_add IS NOT NULL THEN
        INSERT INTO parked (source, partition, position, key, reason, fingerprint, detail, attempts,
                            headers, record_key, value, produced_at)
        SELECT source, partition, position, key, reason, fingerprint, detail, attempts,
               decode(headers, 'base64'), decode(record_key, 'base64'), decode(value, 'base64'), produced_at
        FROM json_to_recordset(p_add -> 'parked') AS r(source text, partition integer, position bigint,
             key text, reason text, fingerprint text, detail text, attempts integer,
             headers text, record_key text, value text, produced_at timestamptz);
        INSERT INTO waiting (source, partition, position, key, headers, record_key, value, produced_at)
        SELECT source, partition, position, key,
               decode(headers, 'base64'), decode(record_key, 'base64'), decode(value, 'base64'), produced_at
        FROM json_to_recordset(p_add -> 'waiting') AS r(source text, partition integer, position bigint,
             key text, headers text, record_key text, value text, produced_at timestamptz);
        INSERT INTO timers (stream_id, kind, due_at, guards)
        SELECT stream_id, kind, due_at, guards
        FROM json_to_recordset(p_add -> 'timers')
            AS r(stream_id uuid, kind text, due_at timestamptz, guards json)
        ON CONFLICT DO NOTHING;
        PERFORM keep_read_requests(p_add);
        PERFORM keep_answers(p_add);
    END IF;
END
$$;
