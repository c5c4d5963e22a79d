-- What every service keeps of the records it consumes. {schema} and {role} are the service's own.

CREATE TABLE {schema}.consumed_positions (
    source     text        NOT NULL, -- group and topic: "orders:channels.orders.v1"
    partition  integer     NOT NULL,
    position   bigint      NOT NULL, -- the last offset whose effect is durable
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, partition)
);

-- Records that could not be handled, and the later ones of their key that wait behind them, in order.
CREATE TABLE {schema}.parked (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text        NOT NULL,
    partition   integer     NOT NULL,
    position    bigint      NOT NULL,
    key         text        COLLATE "C" NOT NULL,
    reason      text        NOT NULL, -- a stable code; BEHIND for what waits behind another
    fingerprint text        NOT NULL, -- equal for failures with the same cause
    detail      text        NOT NULL, -- a sentence, without the record's content
    attempts    integer     NOT NULL DEFAULT 1,
    headers     bytea       NOT NULL, -- the original headers, framed by libs.runtime.parking
    record_key  bytea,
    value       bytea,
    produced_at timestamptz NOT NULL,
    parked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (source, partition, position)
);
-- The rows of a key are released in the order of their records; ids only say when they were parked.
CREATE INDEX parked_key ON {schema}.parked (source, key, partition, position);
CREATE INDEX parked_fingerprint ON {schema}.parked (fingerprint, id);

-- Records that precede what they speak of and are judged after it arrives; bounded by time and count.
CREATE TABLE {schema}.waiting (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text        NOT NULL,
    partition   integer     NOT NULL,
    position    bigint      NOT NULL,
    key         text        COLLATE "C" NOT NULL,
    headers     bytea       NOT NULL,
    record_key  bytea,
    value       bytea,
    produced_at timestamptz NOT NULL,
    waiting_since timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (source, partition, position)
);
CREATE INDEX waiting_key ON {schema}.waiting (key, id);
CREATE INDEX waiting_since ON {schema}.waiting (waiting_since);

-- Facts to publish, written in the transaction of their cause, removed when Kafka has acknowledged them.
CREATE TABLE {schema}.outbox (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic   text  NOT NULL,
    key     text  NOT NULL,
    headers bytea NOT NULL,
    value   bytea NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- How far each follower of a log (a relay, a projection) has come.
CREATE TABLE {schema}.followers (
    name       text        PRIMARY KEY,
    position   bigint      NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};
GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role};
