-- The list of orders, second version (decision 0019): a narrow row to find and sort by, the folded order beside it.

-- One row is some 300 bytes, so that walking many of them to find a page stays cheap.
CREATE TABLE {schema}.order_views_v2 (
    order_id  uuid               NOT NULL,
    seller    text               NOT NULL,
    number    text COLLATE "C"   NOT NULL, -- the tie-break of LS-1; "C" does not change with the system's locale
    placed_at timestamptz        NOT NULL, -- never changes, so that a cursor stays where it is
    sequence  bigint             NOT NULL, -- of the last event that is in this row
    position  bigint             NOT NULL, -- of the same event in the store
    facets    bigint[]           NOT NULL, -- what filters and searches look for, one hash per word (facets.py)
    CONSTRAINT order_views_v2_key PRIMARY KEY (order_id)
) WITH (fillfactor = 90);
CREATE INDEX order_views_v2_list ON {schema}.order_views_v2 (seller, placed_at DESC, number DESC);
-- Words gather in a short list before they are merged: three times cheaper for the projector than one by one.
CREATE INDEX order_views_v2_facets ON {schema}.order_views_v2 USING gin (facets)
    WITH (fastupdate = on, gin_pending_list_limit = 512); -- kB that a read looks through at most
-- The planner chooses between the two indexes by how common a word is: it must know more than 100 words.
ALTER TABLE {schema}.order_views_v2 ALTER COLUMN facets SET STATISTICS 400;

-- The folded order as JSON, so that a batch folds on. No index but the key: an update stays in its page.
CREATE TABLE {schema}.order_states_v2 (
    order_id uuid NOT NULL,
    state    text NOT NULL,
    CONSTRAINT order_states_v2_key PRIMARY KEY (order_id)
) WITH (fillfactor = 75);

-- How far a rebuild beside the live tables has come, so that it goes on where it was stopped.
CREATE TABLE {schema}.rebuilds (
    name       text        PRIMARY KEY, -- the read model and its version: order_views.v2
    phase      text        NOT NULL CHECK (phase IN ('STREAMS', 'INDEXES', 'FOLLOWING')),
    upto       bigint      NOT NULL, -- streams are folded as of this position
    stream_id  uuid,                 -- the last stream that is done
    position   bigint      NOT NULL, -- FOLLOWING: the last event that is in
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A read model has a follower's row once it is complete. In an empty store the list is complete from the
-- beginning; else it is built first, and the list answers 503 until then, never with half of the orders.
INSERT INTO {schema}.followers (name, position)
SELECT 'order_views.v2', 0 WHERE NOT EXISTS (SELECT FROM {schema}.events);

GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.order_views_v2, {schema}.order_states_v2 TO {role};
GRANT SELECT ON {schema}.rebuilds TO {role};
