-- The list of orders: a projection of the events, at the version its name says (decision 0008).

CREATE TABLE {schema}.order_views_v1 (
    order_id           uuid        PRIMARY KEY,
    seller             text        NOT NULL,
    number             text        NOT NULL,
    channel            text        NOT NULL,
    shop               text        NOT NULL,
    marketplace_number text        NOT NULL,
    headline           text        NOT NULL,
    flags              text[]      NOT NULL,
    placed_at          timestamptz NOT NULL,
    sequence           bigint      NOT NULL, -- of the last event that is in this row
    position           bigint      NOT NULL, -- of the same event in the store
    state              text        NOT NULL  -- the folded order as JSON, so that a batch folds on
);
CREATE INDEX order_views_v1_list ON {schema}.order_views_v1 (seller, placed_at DESC, order_id DESC);
CREATE INDEX order_views_v1_headline ON {schema}.order_views_v1 (seller, headline, placed_at DESC, order_id DESC);
CREATE INDEX order_views_v1_marketplace ON {schema}.order_views_v1 (seller, marketplace_number);

GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.order_views_v1 TO {role};
