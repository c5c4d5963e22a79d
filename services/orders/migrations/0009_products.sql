-- Sellers' products as inventory states them, for the check that a line names a linked one (MN-3).
CREATE TABLE {schema}.products (
    product    text    COLLATE "C" PRIMARY KEY, -- the record's key
    seller     text    COLLATE "C" NOT NULL,
    sku        text    COLLATE "C" NOT NULL,
    warehouses text[]  NOT NULL,
    partition  integer NOT NULL, -- the record that states it
    position   bigint  NOT NULL
);
CREATE INDEX products_sku ON {schema}.products (seller, sku);

-- An append that has products change with the positions it moves: only if all of it is written, they change.
-- A product without a seller is removed. The caller names each product once.
CREATE FUNCTION {schema}.append_products(
    p_products json,
    p_sources text[], p_partitions integer[], p_from bigint[], p_to bigint[], p_handled text[],
    p_add json, p_remove json
) RETURNS {schema}.appended
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    v_appended {schema}.appended;
BEGIN
    v_appended := append(p_sources, p_partitions, p_from, p_to, p_handled,
                         '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
                         '{}', '{}', '{}', '{}', '{}', p_add, p_remove);
    IF v_appended.outcome <> 'OK' THEN
        RETURN v_appended;
    END IF;
    DELETE FROM products USING json_to_recordset(p_products) AS r(product text, seller text)
    WHERE products.product = r.product AND r.seller IS NULL;
    INSERT INTO products (product, seller, sku, warehouses, partition, position)
    SELECT product, seller, sku, warehouses, partition, position
    FROM json_to_recordset(p_products) AS r(product text, seller text, sku text, warehouses text[],
                                            partition integer, position bigint)
    WHERE seller IS NOT NULL
    ON CONFLICT (product) DO UPDATE
        SET seller = excluded.seller, sku = excluded.sku, warehouses = excluded.warehouses,
            partition = excluded.partition, position = excluded.position;
    RETURN v_appended;
END
$$;

REVOKE ALL ON FUNCTION {schema}.append_products FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.append_products TO {role};
GRANT SELECT ON {schema}.products TO {role};
