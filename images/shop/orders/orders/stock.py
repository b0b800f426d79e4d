"""What is on the shelf."""

import contextlib


class SoldOut(Exception):
    """There is less on the shelf than was asked for."""


@contextlib.contextmanager
def taken(pool, sku, qty):
    """Takes goods off the shelf for the checkout inside; a checkout that fails puts them back."""
    with pool.connection() as connection:
        left = connection.execute(
            "UPDATE stock SET qty = qty - %(qty)s WHERE sku = %(sku)s AND qty >= %(qty)s RETURNING qty",
            {"sku": sku, "qty": qty},
        ).fetchone()
    if left is None:
        raise SoldOut(sku)
    try:
        yield
    except BaseException:
        with pool.connection() as connection:
            connection.execute("UPDATE stock SET qty = qty + %s WHERE sku = %s", (qty, sku))
        raise
