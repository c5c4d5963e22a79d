-- What notifications keeps: whose orders there are, and what is to be told to whom, once each.
-- {schema} and {role} are the service's own.

-- The last event applied of every order: repeats are dropped, a hole is a fault (P3).
CREATE TABLE {schema}.order_sequences (
    order_id   text        PRIMARY KEY,
    sequence   bigint      NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What a message may say of an order, from its placement; nothing of a buyer.
CREATE TABLE {schema}.orders (
    order_id text PRIMARY KEY,
    seller   text NOT NULL,
    number   text NOT NULL,
    channel  text NOT NULL
);

-- The ledger: one row per event, recipient and medium, whatever is repeated (P2).
CREATE TABLE {schema}.deliveries (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid        NOT NULL UNIQUE, -- derived from event, recipient and medium
    event_id    text        NOT NULL,
    recipient   text        NOT NULL, -- the seller's id
    medium      text        NOT NULL, -- DEFAULT: the one that the recipient prefers when it is sent
    order_id    text        NOT NULL,
    event       text        NOT NULL, -- the name of the event
    kind        text        NOT NULL,
    text        text        NOT NULL, -- the id of the sentence (messages.py)
    "values"    json        NOT NULL, -- what the sentence names
    state       text        NOT NULL DEFAULT 'DUE' CHECK (state IN ('DUE')), -- nothing sends yet
    happened_at timestamptz NOT NULL,
    written_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (event_id, recipient, medium)
);
CREATE INDEX deliveries_recipient ON {schema}.deliveries (recipient, number);
CREATE INDEX deliveries_order ON {schema}.deliveries (recipient, order_id, number);
CREATE INDEX deliveries_kind ON {schema}.deliveries (recipient, kind, number);

GRANT SELECT, INSERT, UPDATE ON {schema}.order_sequences TO {role};
GRANT SELECT, INSERT ON {schema}.orders, {schema}.deliveries TO {role};
