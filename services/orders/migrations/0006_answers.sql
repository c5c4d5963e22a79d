-- Answers to commands that came on a topic leave by the outbox; their rows are written in the append of what
-- they answer (decision 0016). The position of an order's event is known in there only, so it is added here:
-- `stream_id` and `version` name the event, and a refusal names none.
CREATE FUNCTION {schema}.keep_answers(p_add json) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    IF p_add IS NULL OR json_typeof(p_add -> 'outbox') IS DISTINCT FROM 'array' THEN
        RETURN;
    END IF;
    INSERT INTO outbox (topic, key, headers, value)
    SELECT r.topic, r.key, decode(r.headers, 'base64'),
           convert_to(CASE WHEN e.position IS NULL THEN r.value
                           ELSE left(r.value, -1) || ',"position":"' || e.position || '"}' END, 'UTF8')
    FROM ROWS FROM (json_to_recordset(p_add -> 'outbox')
             AS (topic text, key text, headers text, value text, stream_id uuid, version bigint))
         WITH ORDINALITY AS r(topic, key, headers, value, stream_id, version, place)
    LEFT JOIN events e ON e.stream_id = r.stream_id AND e.version = r.version
    ORDER BY r.place;
    IF FOUND THEN
        NOTIFY {schema}_outbox;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION {schema}.keep_answers FROM PUBLIC;

-- As in 0001, and the answers.
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
        INSERT INTO read_requests (connection, external_id, reason)
        SELECT connection, external_id, reason
        FROM json_to_recordset(p_add -> 'read_requests') AS r(connection text, external_id text, reason text)
        ON CONFLICT DO NOTHING;
        PERFORM keep_answers(p_add);
    END IF;
END
$$;
