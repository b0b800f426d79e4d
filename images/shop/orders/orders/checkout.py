"""A checkout: goods off the shelf, money from the customer, an order, and an event for the worker."""

import logging
import uuid

from orders import catalogue, stock
from shop import logs

log = logging.getLogger(__name__)


def place(services, customer_id, sku, qty):
    """Returns the new order. Raises UnknownProduct, SoldOut, Declined or PaymentFailed: then nothing was sold."""
    product = catalogue.product(services.pool, services.cache, sku)
    goods = product["price_cents"] * qty
    total = goods + shipping(services.flags, goods)
    reference = str(uuid.uuid4())
    with stock.taken(services.pool, sku, qty):
        payment_id = services.payments.charge(reference, customer_id, total)
        order_id = record(services.pool, (customer_id, total, payment_id, reference), (sku, qty, product["price_cents"]))
    logs.bind(order_id=order_id)
    log.info("order paid", extra={"fields": {"customer_id": customer_id, "total_cents": total, "payment_id": payment_id}})
    services.events.publish("order.paid", {"id": reference, "order_id": order_id})
    return {
        "id": order_id,
        "customer_id": customer_id,
        "state": "paid",
        "total": total,
        "items": [{"sku": sku, "qty": qty, "price": product["price_cents"]}],
    }


def shipping(flags, goods_cents):
    free_from = flags.value("free-shipping-from-cents", None)
    return 0 if free_from is not None and goods_cents >= free_from else 490


def record(pool, order, item):
    with pool.connection() as connection:
        order_id = connection.execute(
            "INSERT INTO orders (customer_id, total_cents, payment_id, reference, state)"
            " VALUES (%s, %s, %s, %s, 'paid') RETURNING id",
            order,
        ).fetchone()["id"]
        connection.execute(
            "INSERT INTO order_items (order_id, sku, qty, price_cents) VALUES (%s, %s, %s, %s)", (order_id, *item)
        )
    return order_id
