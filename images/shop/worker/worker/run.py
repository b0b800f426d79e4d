"""Consumes the shipping queue until it is told to stop."""

import json
import logging
import signal
import time

import pika.exceptions
import psycopg
from prometheus_client import Counter

from shop import broker, logs, settings
from worker import shipping, status

log = logging.getLogger("worker")

MESSAGES = Counter("shop_shipping_messages_total", "messages of the shipping queue by their end", ["end"])



class Worker:
    def __init__(self, beat):
        self._beat = beat
        self._stopping = False
        self._database = None

    def stop(self, *_):
        self._stopping = True

    def run(self):
        while not self._stopping:
            try:
                self._consume()
            except (pika.exceptions.AMQPError, psycopg.OperationalError, OSError) as error:
                log.warning("starting over", extra={"fields": {"reason": f"{type(error).__name__}: {error}"}})
                self._database = None
                time.sleep(settings.number("RETRY_SECONDS", 1))
        log.info("stopped")

    def _consume(self):
        self._database = psycopg.connect(
            settings.text("DATABASE_URL"), autocommit=True, connect_timeout=3, application_name="worker"
        )
        connection = broker.connect(settings.text("BROKER_URL"))
        channel = connection.channel()
        broker.declare(channel)
        channel.basic_qos(prefetch_count=settings.number("PREFETCH", 4))
        log.info("waiting for orders")
        with connection, self._database:
            for method, properties, content in channel.consume(broker.SHIPPING_QUEUE, inactivity_timeout=0.5):
                self._beat()
                if method is not None:
                    self._handle(channel, method, properties, content)
                if self._stopping:
                    channel.cancel()
                    return

    def _handle(self, channel, method, properties, content):
        try:
            order_id = json.loads(content)["order_id"]
        except (ValueError, KeyError, TypeError):
            log.error("message is not an order", extra={"fields": {"message_id": properties.message_id}})
            channel.basic_reject(method.delivery_tag, requeue=False)
            MESSAGES.labels("rejected").inc()
            return
        with logs.bound(order_id=order_id, message_id=properties.message_id):
            try:
                parcel = shipping.ship(self._database, order_id)
            except shipping.NotThereYet:
                log.error("order is not in the database", extra={"fields": {"redelivered": method.redelivered}})
                channel.basic_reject(method.delivery_tag, requeue=not method.redelivered)
                MESSAGES.labels("unknown_order").inc()
                return
            if parcel is None:
                log.info("order was shipped before")
                MESSAGES.labels("repeated").inc()
            else:
                event = {"id": properties.message_id, "order_id": order_id, "parcel": parcel}
                channel.basic_publish(broker.EXCHANGE, "order.shipped", json.dumps(event).encode())
                log.info("order shipped", extra={"fields": {"parcel": parcel}})
                MESSAGES.labels("shipped").inc()
            channel.basic_ack(method.delivery_tag)


def main():
    logs.configure("worker")
    health = status.Status()
    health.serve(settings.number("STATUS_PORT", 9100))
    worker = Worker(health.beat)
    signal.signal(signal.SIGTERM, worker.stop)
    signal.signal(signal.SIGINT, worker.stop)
    worker.run()


if __name__ == "__main__":
    main()
