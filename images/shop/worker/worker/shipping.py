"""Shipping an order: once, however often the message comes."""

import uuid


class NotThereYet(Exception):
    """The order of a message is not in the database (yet)."""


def ship(connection, order_id):
    """Returns the parcel's number, or nothing when the order was shipped before."""
    with connection.transaction():
        row = connection.execute("SELECT state FROM orders WHERE id = %s FOR UPDATE", (order_id,)).fetchone()
        if row is None:
            raise NotThereYet(order_id)
        if row[0] != "paid":
            return None
        parcel = f"P-{uuid.uuid4().hex[:12]}"
        connection.execute("INSERT INTO shipments (order_id, parcel) VALUES (%s, %s)", (order_id, parcel))
        connection.execute("UPDATE orders SET state = 'shipped', shipped_at = now() WHERE id = %s", (order_id,))
    return parcel
