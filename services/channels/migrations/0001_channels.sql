-- What channels keeps: whose shops there are, what the marketplaces sent, what is to be read.
-- {schema} and {role} are the service's own.

-- A seller's link to a shop. A shop has one connection at a time.
CREATE TABLE {schema}.connections (
    id           uuid        PRIMARY KEY,
    seller       uuid        NOT NULL,
    channel      text        NOT NULL,
    site         text        NOT NULL,
    shop         text        NOT NULL, -- the marketplace's own id of the shop, as text (CN-06)
    name         text        NOT NULL DEFAULT '',
    state        text        NOT NULL DEFAULT 'ACTIVE',
    connected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX connections_claim ON {schema}.connections (channel, site, shop) WHERE state <> 'DELETED';
CREATE INDEX connections_seller ON {schema}.connections (seller, id);

-- The permission in force on a connection; tokens are sealed, their associated data names the connection.
CREATE TABLE {schema}.grants (
    connection_id uuid        PRIMARY KEY REFERENCES {schema}.connections,
    tokens        bytea       NOT NULL,
    expires_at    timestamptz,
    seeded        bytea       NOT NULL, -- SHA-256 of the tokens the seed gave, so that a repeat undoes no refresh
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Everything that arrived, before anything was read of it (IN-01); `content` is headers and body, sealed.
CREATE TABLE {schema}.raw_messages (
    id            uuid        PRIMARY KEY,
    received_at   timestamptz NOT NULL,
    route         text        NOT NULL, -- "lazada.push", "tokopedia.order_status", "lazada.read"
    app           text        NOT NULL,
    verdict       text        NOT NULL, -- SIGNED, UNSIGNED, or READ for an answer to our own call
    content       bytea       NOT NULL,
    state         text        NOT NULL, -- PENDING, HANDLED, SKIPPED, PARKED
    reason        text,
    connection_id uuid,
    order_id      text,
    worked_at     timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX raw_messages_pending ON {schema}.raw_messages (id) WHERE state = 'PENDING';
CREATE INDEX raw_messages_parked ON {schema}.raw_messages (id) WHERE state = 'PARKED';

-- What was worked through, by delivery key (channels.md 13); some keys may return after a while.
CREATE TABLE {schema}.delivery_keys (
    key      bytea       PRIMARY KEY,
    raw_id   uuid        NOT NULL,
    first_at timestamptz NOT NULL
);
CREATE INDEX delivery_keys_age ON {schema}.delivery_keys (first_at);

-- Orders to read, once for all that wait. `generation` grows with each request, so that a reading that
-- began before a newer request does not remove it. `claim` names who reads, until `claimed_until`.
CREATE TABLE {schema}.read_requests (
    connection_id uuid        NOT NULL,
    order_id      text        NOT NULL,
    generation    bigint      NOT NULL DEFAULT 1,
    requested_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts      integer     NOT NULL DEFAULT 0,
    state         text        NOT NULL DEFAULT 'WAITING', -- WAITING, PARKED
    reason        text,
    claim         uuid,
    claimed_until timestamptz,
    PRIMARY KEY (connection_id, order_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX read_requests_due ON {schema}.read_requests (next_at) WHERE state = 'WAITING';

-- What the last reading of an order showed. The hashes save publishing; the mark saves reading (RC-04).
CREATE TABLE {schema}.readings (
    connection_id uuid        NOT NULL,
    order_id      text        NOT NULL,
    facts_hashes  bytea       NOT NULL, -- of each fact, one after the other
    mark          text,                   -- what a list shows of the order while it is unchanged
    final         boolean     NOT NULL,   -- the marketplace will hardly say anything more
    raw_id        uuid        NOT NULL,
    read_at       timestamptz NOT NULL,
    PRIMARY KEY (connection_id, order_id)
);
CREATE INDEX readings_order ON {schema}.readings (order_id);
CREATE INDEX readings_open ON {schema}.readings (connection_id, read_at) WHERE NOT final;

-- When a fact without a source time was first seen, so that a repeated reading gives the same fact (IN-10).
CREATE TABLE {schema}.first_seen (
    connection_id uuid        NOT NULL,
    order_id      text        NOT NULL,
    fact          text        NOT NULL, -- scope, type, source status, occurrence
    seen_at       timestamptz NOT NULL,
    PRIMARY KEY (connection_id, order_id, fact)
);

-- How far each shop's list has been read to its end (RC-02), and when to try again (RC-06).
CREATE TABLE {schema}.poll_cursors (
    connection_id  uuid        PRIMARY KEY REFERENCES {schema}.connections,
    complete_until timestamptz,
    back_fill      integer     NOT NULL DEFAULT 0, -- which older window is looked at next
    failures       integer     NOT NULL DEFAULT 0,
    reason         text,
    next_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    polled_at      timestamptz
);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};
