-- The event store of orders. Rows enter by orders.append alone, in commit order, with contiguous positions.

CREATE TABLE {schema}.events (
    position       bigint      PRIMARY KEY,
    stream_id      uuid        NOT NULL,
    version        bigint      NOT NULL,
    name           text        NOT NULL, -- frozen stored name: "OrderPlaced.v1"
    state          json        NOT NULL, -- json keeps the bytes and can be cast in a query (decision 0004)
    recorded_at    timestamptz NOT NULL,
    correlation_id text,
    causation_id   text,
    traceparent    text,
    UNIQUE (stream_id, version)
);

-- Answers to commands, refusals too, so that a repeat gets the same answer (GR-4).
CREATE TABLE {schema}.command_keys (
    id          uuid        PRIMARY KEY, -- of caller and key; half the cost of an index of both texts
    caller      text        NOT NULL,
    key         text        NOT NULL,
    body_sha256 bytea       NOT NULL,
    answer      text        NOT NULL,
    recorded_at timestamptz NOT NULL
);

CREATE TABLE {schema}.timers (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream_id uuid        NOT NULL,
    kind      text        NOT NULL,
    due_at    timestamptz NOT NULL,
    guards    json        NOT NULL,
    UNIQUE (stream_id, kind, due_at)
);
CREATE INDEX timers_due ON {schema}.timers (due_at);

-- What orders asks channels to read; at most one waits per order (AC-13).
CREATE TABLE {schema}.read_requests (
    connection   text        NOT NULL,
    external_id  text        NOT NULL,
    reason       text        NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (connection, external_id)
);

CREATE TYPE {schema}.appended AS (outcome text, first_position bigint, concerned text[]);

-- The one way in. Everything is checked and written under one lock that no client round trip holds, so
-- commit order is position order and a reader never needs to look for gaps. Nothing is written unless
-- the outcome is OK. The lock is a statement of its own: under READ COMMITTED the statements after it
-- see what the previous holder committed.
CREATE FUNCTION {schema}.append(
    p_sources text[], p_partitions integer[], p_from bigint[], p_to bigint[], p_handled text[],
    p_streams uuid[], p_versions bigint[],
    p_event_streams uuid[], p_event_versions bigint[], p_names text[], p_states json[],
    p_correlations text[], p_causations text[], p_traceparents text[],
    p_key_ids uuid[], p_callers text[], p_keys text[], p_hashes bytea[], p_answers text[],
    p_add json, p_remove json
) RETURNS {schema}.appended
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp
-- Every look-up here is of a batch's few rows in tables that grow for ever: a plan made while a table
-- was small must not turn into a scan of all of it.
SET enable_seqscan = off AS $$
DECLARE
    v_moved     text[];
    v_last      bigint;
    v_events    integer := coalesce(array_length(p_event_streams, 1), 0);
    v_removed   integer;
    v_now       timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('{schema}.append'));

    IF array_length(p_sources, 1) > 0 THEN
        SELECT array_agg(given.source || '/' || given.partition) INTO v_moved
        FROM unnest(p_sources, p_partitions, p_from, p_to) AS given(source, partition, went_from, went_to)
        LEFT JOIN consumed_positions stored
            ON stored.source = given.source AND stored.partition = given.partition
        WHERE CASE WHEN given.went_from IS NULL
                   THEN stored.position IS NOT NULL AND stored.position >= given.went_to
                   ELSE coalesce(stored.position, -1) <> given.went_from END;
        IF v_moved IS NOT NULL THEN
            RETURN ('POSITION_MOVED', NULL, v_moved)::{schema}.appended;
        END IF;
    END IF;

    IF array_length(p_keys, 1) > 0 THEN
        SELECT array_agg(caller || '/' || key) INTO v_moved FROM command_keys WHERE id = ANY(p_key_ids);
        IF v_moved IS NOT NULL THEN
            RETURN ('KEY_TAKEN', NULL, v_moved)::{schema}.appended;
        END IF;
    END IF;

    SELECT array_agg(given.stream_id::text) INTO v_moved
    FROM unnest(p_streams, p_versions) AS given(stream_id, version)
    LEFT JOIN (
        SELECT stream_id, max(version) AS version FROM events WHERE stream_id = ANY(p_streams) GROUP BY stream_id
    ) AS stored ON stored.stream_id = given.stream_id
    WHERE coalesce(stored.version, 0) <> greatest(given.version, 0);
    IF v_moved IS NOT NULL THEN
        RETURN ('CONFLICT', NULL, v_moved)::{schema}.appended;
    END IF;

    -- A record may have its effect only while nothing of its key is parked; else it waits behind that.
    IF array_length(p_handled, 1) > 0 THEN
        SELECT array_agg(DISTINCT 'parked-key/' || key) INTO v_moved
        FROM parked WHERE source = p_sources[1] AND key = ANY(p_handled);
        IF v_moved IS NOT NULL THEN
            RETURN ('CONFLICT', NULL, v_moved)::{schema}.appended;
        END IF;
    END IF;

    -- A waiting or parked row that is gone has had its effect already; a record can wait behind
    -- another only while that one is still parked.
    IF p_remove IS NOT NULL THEN
        SELECT array_agg('parked/' || r.id) INTO v_moved
        FROM (SELECT (json_array_elements_text(p_remove -> 'parked'))::bigint AS id) r
        LEFT JOIN parked ON parked.id = r.id WHERE parked.id IS NULL;
        IF v_moved IS NULL THEN
            SELECT array_agg('waiting/' || r.id) INTO v_moved
            FROM (SELECT (json_array_elements_text(p_remove -> 'waiting'))::bigint AS id) r
            LEFT JOIN waiting ON waiting.id = r.id WHERE waiting.id IS NULL;
        END IF;
        IF v_moved IS NOT NULL THEN
            RETURN ('CONFLICT', NULL, v_moved)::{schema}.appended;
        END IF;
    END IF;
    IF p_add IS NOT NULL THEN
        SELECT array_agg(DISTINCT 'behind/' || behind.key) INTO v_moved
        FROM json_to_recordset(p_add -> 'parked') AS behind(source text, key text, reason text)
        WHERE behind.reason = 'BEHIND'
          AND NOT EXISTS (SELECT FROM parked WHERE parked.source = behind.source AND parked.key = behind.key)
          AND NOT EXISTS (SELECT FROM json_to_recordset(p_add -> 'parked')
                              AS first(source text, key text, reason text)
                          WHERE first.source = behind.source AND first.key = behind.key
                            AND first.reason <> 'BEHIND');
        IF v_moved IS NOT NULL THEN
            RETURN ('CONFLICT', NULL, v_moved)::{schema}.appended;
        END IF;
    END IF;

    v_now := clock_timestamp();
    SELECT coalesce(max(position), 0) INTO v_last FROM events;
    IF v_events > 0 THEN
        INSERT INTO events (position, stream_id, version, name, state, recorded_at,
                            correlation_id, causation_id, traceparent)
        SELECT v_last + ordinal, stream_id, version, name, state, v_now,
               correlation_id, causation_id, traceparent
        FROM unnest(p_event_streams, p_event_versions, p_names, p_states,
                    p_correlations, p_causations, p_traceparents) WITH ORDINALITY
            AS e(stream_id, version, name, state, correlation_id, causation_id, traceparent, ordinal);
        NOTIFY {schema}_events;
    END IF;

    IF array_length(p_sources, 1) > 0 THEN
        INSERT INTO consumed_positions (source, partition, position, updated_at)
        SELECT source, partition, went_to, v_now
        FROM unnest(p_sources, p_partitions, p_to) AS given(source, partition, went_to)
        ON CONFLICT (source, partition) DO UPDATE
            SET position = excluded.position, updated_at = excluded.updated_at;
    END IF;
    IF array_length(p_keys, 1) > 0 THEN
        INSERT INTO command_keys (id, caller, key, body_sha256, answer, recorded_at)
        SELECT id, caller, key, hash, answer, v_now
        FROM unnest(p_key_ids, p_callers, p_keys, p_hashes, p_answers)
            AS given(id, caller, key, hash, answer);
    END IF;
    PERFORM keep_rows(p_add, p_remove);
    RETURN ('OK', v_last + 1, NULL)::{schema}.appended;
END
$$;

-- Rows that come and go with an append. Bytes travel in JSON as base64.
CREATE FUNCTION {schema}.keep_rows(p_add json, p_remove json) RETURNS void
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
    END IF;
END
$$;

REVOKE ALL ON FUNCTION {schema}.append FROM PUBLIC;
REVOKE ALL ON FUNCTION {schema}.keep_rows FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.append TO {role};
GRANT SELECT ON {schema}.events, {schema}.command_keys, {schema}.timers, {schema}.read_requests TO {role};
-- Consumed positions, parked and waiting records of orders change in an append only.
REVOKE INSERT, UPDATE, DELETE ON {schema}.consumed_positions, {schema}.parked, {schema}.waiting FROM {role};
-- A redrive that fails again writes down why.
GRANT UPDATE (attempts, reason, fingerprint, detail) ON {schema}.parked TO {role};
