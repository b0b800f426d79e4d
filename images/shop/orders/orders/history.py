"""Orders, one by one and as a customer's history."""

PAGE = 100

ORDER = """
SELECT o.id, o.customer_id, o.state, o.total_cents AS total, o.created_at, o.shipped_at,
       (SELECT json_agg(json_build_object('sku', i.sku, 'qty', i.qty, 'price', i.price_cents) ORDER BY i.id)
          FROM order_items i WHERE i.order_id = o.id) AS items
  FROM orders o
"""


def order(pool, order_id):
    with pool.connection() as connection:
        return connection.execute(ORDER + " WHERE o.id = %s", (order_id,)).fetchone()


def page(pool, customer_id, before=None):
    """A page of a customer's orders, the newest first; `before` is the last order of the page before."""
    with pool.connection() as connection:
        return connection.execute(
            ORDER + " WHERE o.customer_id = %(customer)s AND (%(before)s::bigint IS NULL OR o.id < %(before)s)"
            " ORDER BY o.id DESC LIMIT %(page)s",
            {"customer": customer_id, "before": before, "page": PAGE},
        ).fetchall()
