CREATE INDEX orders_customer_id_idx ON orders (customer_id, id);
CREATE INDEX order_items_order_id_idx ON order_items (order_id);
