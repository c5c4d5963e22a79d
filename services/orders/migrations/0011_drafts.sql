-- Manual orders before Buat (MN-1, MN-2): no events, no number, in no list. What is said of the buyer is sealed
-- in `recipient` under the buyer's key, bound to the draft's id; `said` is of class CLEAR.
CREATE TABLE {schema}.drafts (
    id         uuid        PRIMARY KEY, -- becomes the id of the order
    seller     text        NOT NULL,
    revision   bigint      NOT NULL,
    made_by    text        NOT NULL,
    said       json        NOT NULL,
    recipient  json,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX drafts_seller ON {schema}.drafts (seller, id);
CREATE INDEX drafts_changed_at ON {schema}.drafts (changed_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.drafts TO {role};

-- An append that places orders of drafts (T1): in one transaction the orders are written and their drafts go.
-- `p_remove -> 'drafts'` names each with the revision that was decided on; one that is gone, changed, or being
-- changed at this moment is a conflict, and nothing is written.
CREATE FUNCTION {schema}.append_drafts(
    p_sources text[], p_partitions integer[], p_from bigint[], p_to bigint[], p_handled text[],
    p_streams uuid[], p_versions bigint[],
    p_event_streams uuid[], p_event_versions bigint[], p_names text[], p_states json[],
    p_correlations text[], p_causations text[], p_traceparents text[],
    p_key_ids uuid[], p_callers text[], p_keys text[], p_hashes bytea[], p_answers text[],
    p_add json, p_remove json
) RETURNS {schema}.appended
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp
SET enable_seqscan = off AS $$
DECLARE
    v_held     uuid[];
    v_gone     text[];
    v_appended {schema}.appended;
BEGIN
    -- Rows are never waited for: the writer lock is next, and nobody may hold that for a client's round trip.
    SELECT array_agg(held.id) INTO v_held FROM (
        SELECT d.id FROM drafts d
        JOIN json_to_recordset(p_remove -> 'drafts') AS r(id uuid, revision bigint)
          ON r.id = d.id AND r.revision = d.revision
        FOR UPDATE OF d SKIP LOCKED
    ) held;
    SELECT array_agg('draft/' || r.id) INTO v_gone
    FROM json_to_recordset(p_remove -> 'drafts') AS r(id uuid, revision bigint)
    WHERE NOT r.id = ANY(coalesce(v_held, '{}'));
    IF v_gone IS NOT NULL THEN
        RETURN ('CONFLICT', NULL, v_gone)::{schema}.appended;
    END IF;
    SELECT * INTO v_appended FROM append(
        p_sources, p_partitions, p_from, p_to, p_handled, p_streams, p_versions,
        p_event_streams, p_event_versions, p_names, p_states, p_correlations, p_causations, p_traceparents,
        p_key_ids, p_callers, p_keys, p_hashes, p_answers, p_add, p_remove);
    IF v_appended.outcome = 'OK' THEN
        DELETE FROM drafts WHERE id = ANY(v_held);
    END IF;
    RETURN v_appended;
END
$$;
REVOKE ALL ON FUNCTION {schema}.append_drafts FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.append_drafts TO {role};

-- Answers to commands are forgotten when nobody repeats the command any more. A block range index costs the
-- append next to nothing, and serves since rows come in the order of their time.
CREATE INDEX command_keys_recorded_at ON {schema}.command_keys USING brin (recorded_at);
CREATE FUNCTION {schema}.forget_command_keys(p_days integer, p_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    v_gone integer;
BEGIN
    -- Whoever may call this may still not take away what a redelivery of the topic (7 days) would ask for.
    DELETE FROM command_keys WHERE id IN (
        SELECT id FROM command_keys
        WHERE recorded_at < clock_timestamp() - make_interval(days => greatest(p_days, 8)) LIMIT p_rows
    );
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    RETURN v_gone;
END
$$;
REVOKE ALL ON FUNCTION {schema}.forget_command_keys FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.forget_command_keys TO {role};
