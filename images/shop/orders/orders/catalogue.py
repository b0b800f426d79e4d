"""Products and their prices."""


class UnknownProduct(Exception):
    """No product on sale has this number."""


def products(pool):
    with pool.connection() as connection:
        return connection.execute(
            "SELECT p.sku, p.name, p.price_cents, s.qty AS in_stock"
            " FROM products p JOIN stock s USING (sku) WHERE p.active ORDER BY p.sku"
        ).fetchall()


def product(pool, cache, sku):
    found = cache.get(sku)
    if found is None:
        with pool.connection() as connection:
            found = connection.execute(
                "SELECT sku, name, price_cents FROM products WHERE sku = %s AND active", (sku,)
            ).fetchone()
        if found is None:
            raise UnknownProduct(sku)
        cache.put(sku, found)
    return found


def change_price(pool, cache, sku, price_cents):
    with pool.connection() as connection:
        changed = connection.execute(
            "UPDATE products SET price_cents = %s WHERE sku = %s RETURNING sku, name, price_cents", (price_cents, sku)
        ).fetchone()
    if changed is None:
        raise UnknownProduct(sku)
    cache.forget(sku)
    return changed
