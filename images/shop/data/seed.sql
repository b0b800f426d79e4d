-- The products, and :orders orders of five lines each, spread over the customers 1 to :orders / 100 (at least 2).
-- Nothing is random: the same number of orders gives the same rows. A database that has products is left alone.
SELECT count(*) > 0 AS filled FROM products \gset
\if :filled
  \quit
\endif

SET session_replication_role = replica;  -- the rows are consistent by construction: foreign keys need no check
SET synchronous_commit = off;

INSERT INTO products (sku, name, price_cents)
VALUES ('A1', 'Enamel mug', 1290),
       ('B2', 'Linen apron', 3490),
       ('C3', 'Oak board', 5900),
       ('D4', 'Bread knife', 7450),
       ('LAST-1', 'Copper kettle, last one', 12900);

INSERT INTO stock (sku, qty)
VALUES ('A1', 100000), ('B2', 100000), ('C3', 100000), ('D4', 100000), ('LAST-1', 1);

INSERT INTO orders (id, customer_id, state, total_cents, payment_id, reference, created_at, shipped_at)
SELECT n,
       1 + n % greatest(:orders / 100, 2),
       'shipped',
       5 * 1290 + 490,
       'ch_seed_' || n,
       ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
       timestamptz '2024-01-01 00:00:00+00' + n * interval '5 minutes',
       timestamptz '2024-01-02 00:00:00+00' + n * interval '5 minutes'
  FROM generate_series(1, :orders) AS n;

INSERT INTO order_items (order_id, sku, qty, price_cents)
SELECT n, (ARRAY['A1', 'B2', 'C3', 'D4'])[1 + (n + line) % 4], 1, 1290
  FROM generate_series(1, :orders) AS n, generate_series(1, 5) AS line;

SELECT setval(pg_get_serial_sequence('orders', 'id'), :orders) \gset

ANALYZE;
