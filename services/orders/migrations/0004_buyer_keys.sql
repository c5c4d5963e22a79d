-- What makes the data of buyers readable, findable and forgettable (orders.md 17, decision 0018). A row that is
-- removed here makes what was sealed under it unreadable wherever it lies; nothing here holds such data in clear.

-- A seller's keys and those of its shops, wrapped under a key-encryption key of the environment (PD-3).
CREATE TABLE {schema}.owner_keys (
    id         uuid        PRIMARY KEY,
    seller     text        NOT NULL,
    connection text        NOT NULL, -- the shop's; empty: of the seller itself
    purpose    text        NOT NULL CHECK (purpose IN ('SEAL', 'SEARCH')),
    kek        text        NOT NULL, -- the id of the key-encryption key
    wrapped    bytea       NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (seller, connection, purpose)
);

-- The keys of buyers. A buyer is (seller, identity); under each shop, and under the seller itself, it has a key
-- of its own, so that a shop's end destroys all of that shop and nothing else (PD-10).
CREATE TABLE {schema}.buyer_keys (
    id        uuid        PRIMARY KEY,
    seller    text        NOT NULL,
    identity  bytea       NOT NULL, -- HMAC-SHA-256 under the seller's search key: buyer id, else phone, else order
    owner_key uuid        NOT NULL REFERENCES {schema}.owner_keys ON DELETE CASCADE,
    wrapped   bytea       NOT NULL,
    made_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (owner_key, identity)
);
CREATE INDEX buyer_keys_identity ON {schema}.buyer_keys (seller, identity);

-- What an order can be found by (PD-5), and which buyers' data it holds. One row per order and key, so that all
-- tokens of a search are found by one index, and the erasure of a buyer finds its orders.
CREATE TABLE {schema}.search_hashes (
    order_id  uuid     NOT NULL,
    buyer_key uuid     NOT NULL,
    seller    text     NOT NULL,
    hashes    bigint[] NOT NULL, -- the first 8 bytes of HMAC-SHA-256 each, under the seller's search key
    PRIMARY KEY (order_id, buyer_key)
);
CREATE INDEX search_hashes_hashes ON {schema}.search_hashes USING gin (hashes) WITH (fastupdate = off);
CREATE INDEX search_hashes_buyer_key ON {schema}.search_hashes (buyer_key);

-- Who has read a buyer's contact, when and what for (PD-4); never changed.
CREATE TABLE {schema}.contact_readings (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id uuid        NOT NULL,
    seller   text        NOT NULL,
    caller   text        NOT NULL,
    purpose  text        NOT NULL,
    fields   text[]      NOT NULL, -- the names of what was shown; empty: there was nothing to show
    read_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX contact_readings_order ON {schema}.contact_readings (order_id, id);

-- Makes the keys that are missing of those asked for and gives all of them. Whom another transaction is making
-- at this moment is in neither part of the answer: then the caller asks again.
CREATE FUNCTION {schema}.buyer_keys_for(
    p_ids uuid[], p_sellers text[], p_identities bytea[], p_owners uuid[], p_wrapped bytea[]
) RETURNS TABLE (id uuid, identity bytea, owner_key uuid, wrapped bytea)
LANGUAGE sql SET search_path = {schema}, pg_temp
-- A plan made while the table was small must not turn into a scan of all of it.
SET enable_seqscan = off AS $$
    WITH asked AS (
        SELECT * FROM unnest(p_ids, p_sellers, p_identities, p_owners, p_wrapped)
            AS a(id, seller, identity, owner_key, wrapped)
    ), made AS (
        INSERT INTO buyer_keys AS k (id, seller, identity, owner_key, wrapped)
        SELECT a.id, a.seller, a.identity, a.owner_key, a.wrapped FROM asked a
        -- In one order everywhere, so that two consumers never wait for each other.
        ORDER BY a.owner_key, a.identity
        ON CONFLICT (owner_key, identity) DO NOTHING
        RETURNING k.id, k.identity, k.owner_key, k.wrapped
    )
    SELECT * FROM made
    UNION ALL
    SELECT k.id, k.identity, k.owner_key, k.wrapped FROM buyer_keys k JOIN asked a USING (owner_key, identity)
$$;

-- Keeps what orders can be found by, each order and key at most once in a call; `p_hashes` are arrays as text.
-- Hashes of a key that is gone are not kept.
CREATE FUNCTION {schema}.keep_search_hashes(
    p_orders uuid[], p_keys uuid[], p_sellers text[], p_hashes text[]
) RETURNS void
LANGUAGE sql SET search_path = {schema}, pg_temp SET enable_seqscan = off AS $$
    INSERT INTO search_hashes AS held (order_id, buyer_key, seller, hashes)
    SELECT g.order_id, g.buyer_key, g.seller, g.hashes::bigint[]
    FROM unnest(p_orders, p_keys, p_sellers, p_hashes) AS g(order_id, buyer_key, seller, hashes)
    JOIN buyer_keys k ON k.id = g.buyer_key
    ORDER BY g.order_id, g.buyer_key
    ON CONFLICT (order_id, buyer_key) DO UPDATE
        SET hashes = (SELECT array_agg(DISTINCT h) FROM unnest(held.hashes || excluded.hashes) AS h)
        WHERE NOT held.hashes @> excluded.hashes
$$;

REVOKE ALL ON FUNCTION {schema}.buyer_keys_for, {schema}.keep_search_hashes FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.buyer_keys_for, {schema}.keep_search_hashes TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.owner_keys, {schema}.buyer_keys, {schema}.search_hashes TO {role};
GRANT SELECT, INSERT ON {schema}.contact_readings TO {role};
