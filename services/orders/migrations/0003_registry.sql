-- Who sells and who works (orders.md 18). One row of a seller is locked by every change of its registry, so that
-- changes of one seller come one after the other and their versions are in the order of their instants.

CREATE TABLE {schema}.sellers (
    id              text        PRIMARY KEY CHECK (id <> ''),
    code            text        NOT NULL UNIQUE CHECK (code ~ '^[A-Z0-9]{2,8}$'),
    name            text        NOT NULL,
    address         text        NOT NULL,
    zone            text        NOT NULL,
    tax_mode        text        NOT NULL CHECK (tax_mode IN ('NONE', 'EXCLUSIVE', 'INCLUSIVE')),
    tax_rate        integer     NOT NULL CHECK (tax_rate BETWEEN 0 AND 10000), -- basis points
    npwp_masked     text        NOT NULL DEFAULT '', -- all but its last four digits as *
    npwp_sealed     bytea,
    payment_methods text[]      NOT NULL,
    bank_accounts   json        NOT NULL DEFAULT '[]', -- shown to buyers who pay by transfer
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A code is part of numbers and file names that were given out (SR-1).
CREATE FUNCTION {schema}.refuse_new_code() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.code <> OLD.code OR NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'The code of a seller never changes.' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER sellers_code BEFORE UPDATE ON {schema}.sellers
    FOR EACH ROW EXECUTE FUNCTION {schema}.refuse_new_code();

CREATE TABLE {schema}.people (
    id     text    PRIMARY KEY,
    seller text    NOT NULL REFERENCES {schema}.sellers (id),
    name   text    NOT NULL,
    role   text    NOT NULL CHECK (role IN ('OWNER', 'AGENT')),
    active boolean NOT NULL
);
CREATE INDEX people_of_seller ON {schema}.people (seller, id);

CREATE TABLE {schema}.tags (
    id     text PRIMARY KEY,
    seller text NOT NULL REFERENCES {schema}.sellers (id),
    tag    text NOT NULL, -- as first written (AT-3)
    folded text NOT NULL, -- without case
    UNIQUE (seller, folded)
);

CREATE TABLE {schema}.cancel_reasons (
    seller text    NOT NULL REFERENCES {schema}.sellers (id),
    code   text    NOT NULL,
    label  text    NOT NULL,
    given_by text  NOT NULL CHECK (given_by IN ('BUYER', 'SELLER')),
    active boolean NOT NULL,
    PRIMARY KEY (seller, code)
);

-- Whole versions, never changed (SR-9, SR-10); version 0 is what holds before a seller has chosen.
CREATE TABLE {schema}.policy_versions (
    seller      text        NOT NULL REFERENCES {schema}.sellers (id),
    version     integer     NOT NULL CHECK (version > 0),
    policies    json        NOT NULL,
    author      text        NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (seller, version)
);
CREATE TABLE {schema}.calendar_versions (
    seller      text        NOT NULL REFERENCES {schema}.sellers (id),
    version     integer     NOT NULL CHECK (version > 0),
    days        json        NOT NULL,
    author      text        NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (seller, version)
);

CREATE TABLE {schema}.customer_categories (
    seller text NOT NULL REFERENCES {schema}.sellers (id),
    code   text NOT NULL,
    label  text NOT NULL,
    PRIMARY KEY (seller, code)
);
-- No field of a buyer stands here: they are sealed where the buyers' keys are (PD-2). `buyer` is the id there.
CREATE TABLE {schema}.customers (
    seller        text        NOT NULL,
    buyer         text        NOT NULL,
    category      text        NOT NULL,
    source        text        NOT NULL, -- where the customer was first seen
    shop          text        NOT NULL,
    first_seen_at timestamptz NOT NULL,
    PRIMARY KEY (seller, buyer)
);

CREATE TABLE {schema}.api_keys (
    id         text        PRIMARY KEY,
    seller     text        NOT NULL REFERENCES {schema}.sellers (id),
    sha256     bytea       NOT NULL UNIQUE,
    name       text        NOT NULL,
    role       text        NOT NULL,
    scopes     text[]      NOT NULL,
    stands_for text, -- a person, or the courier or gateway whose key it is
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX api_keys_of_seller ON {schema}.api_keys (seller, id);

-- Who changed what and when (SR-14): no buyer's field, no key, no full tax number.
CREATE TABLE {schema}.registry_history (
    number      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seller      text        NOT NULL,
    subject     text        NOT NULL,
    subject_id  text        NOT NULL,
    change      text        NOT NULL,
    caller      text        NOT NULL,
    role        text        NOT NULL,
    before      json,
    after       json,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX registry_history_of_seller ON {schema}.registry_history (seller, number);

-- What a write answered, for who sends it again under the same Idempotency-Key; a new key is not in it.
CREATE TABLE {schema}.registry_answers (
    seller      text        NOT NULL,
    caller      text        NOT NULL,
    key         text        NOT NULL,
    request     bytea       NOT NULL, -- SHA-256 of method, path and body
    status      integer     NOT NULL,
    answer      json        NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (seller, caller, key)
);
CREATE INDEX registry_answers_age ON {schema}.registry_answers (recorded_at);

GRANT SELECT, INSERT, UPDATE ON {schema}.sellers, {schema}.people, {schema}.cancel_reasons,
    {schema}.customer_categories, {schema}.api_keys TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.tags, {schema}.customers, {schema}.registry_answers TO {role};
-- Versions and history are written once.
GRANT SELECT, INSERT ON {schema}.policy_versions, {schema}.calendar_versions, {schema}.registry_history TO {role};
