-- What inventory keeps: the ledger of units promised and gone, the figures, and the open lines behind them.
-- {schema} and {role} are the service's own.

-- The last event applied of every order: repeats are dropped, a hole is a fault (P3, SF-07).
CREATE TABLE {schema}.order_sequences (
    order_id   text        PRIMARY KEY,
    sequence   bigint      NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The lines of every order; open units are promised and neither gone nor released (SF-03).
CREATE TABLE {schema}.order_lines (
    order_id   text   NOT NULL,
    line       text   NOT NULL,
    seller     text   NOT NULL,
    sku        text   NOT NULL, -- empty: nobody has told it, nothing is claimed (SF-05)
    units      bigint NOT NULL CHECK (units > 0),
    open_units bigint NOT NULL CHECK (open_units BETWEEN 0 AND units),
    sequence   bigint NOT NULL, -- of the last event that moved the line
    PRIMARY KEY (order_id, line)
);
CREATE INDEX order_lines_open ON {schema}.order_lines (seller, sku) WHERE open_units > 0;

-- The ledger (MV-01). A movement's id is derived from its cause, so that the same cause writes once (MV-02).
CREATE TABLE {schema}.movements (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid        NOT NULL UNIQUE,
    seller      text        NOT NULL,
    sku         text        NOT NULL CHECK (sku <> ''),
    kind        text        NOT NULL CHECK (kind IN ('RESERVED', 'RELEASED', 'SHIPPED')),
    units       bigint      NOT NULL CHECK (units > 0),
    order_id    text        NOT NULL,
    line        text        NOT NULL,
    event_id    text        NOT NULL,
    at          timestamptz NOT NULL, -- when it happened, else when it was recorded
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX movements_sku ON {schema}.movements (seller, sku, number);

-- The figures: always the sums of the ledger, changed in the same transaction (IV-02).
CREATE TABLE {schema}.stock_levels (
    seller         text        NOT NULL,
    sku            text        NOT NULL,
    reserved_units bigint      NOT NULL DEFAULT 0 CHECK (reserved_units >= 0),
    shipped_units  bigint      NOT NULL DEFAULT 0 CHECK (shipped_units >= 0),
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (seller, sku)
);

GRANT SELECT, INSERT, UPDATE ON {schema}.order_sequences, {schema}.order_lines, {schema}.stock_levels TO {role};
-- A mistake is corrected by a new movement: none is changed or removed (MV-04).
GRANT SELECT, INSERT ON {schema}.movements TO {role};
