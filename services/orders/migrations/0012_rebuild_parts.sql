-- A rebuild folds streams in parts, ranges of their ids, so that two processes can share the work (decision 0019).
CREATE TABLE {schema}.rebuild_parts (
    name    text    NOT NULL REFERENCES {schema}.rebuilds ON DELETE CASCADE,
    part    integer NOT NULL,
    done_to uuid    NOT NULL, -- streams of the part up to this one are in the new tables
    last    uuid    NOT NULL, -- the part ends with this one; it is done when both are the same
    PRIMARY KEY (name, part)
);
-- One that is under way has no parts: the next run begins anew.
DELETE FROM {schema}.rebuilds;
ALTER TABLE {schema}.rebuilds DROP COLUMN stream_id;
