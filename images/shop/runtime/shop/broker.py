"""The shop's exchange and queues, and a publisher that waits for the broker's confirmation."""

import json
import logging
import threading

import pika
import pika.exceptions

EXCHANGE = "shop"
SHIPPING_QUEUE = "shipping"

log = logging.getLogger(__name__)


def connect(url):
    return pika.BlockingConnection(pika.URLParameters(url))


def declare(channel):
    """Everybody declares everything, so that it does not matter who starts first."""
    channel.exchange_declare(EXCHANGE, "topic", durable=True)
    channel.queue_declare(SHIPPING_QUEUE, durable=True)
    channel.queue_bind(SHIPPING_QUEUE, EXCHANGE, "order.paid")


class Publisher:
    """One connection per thread: pika's connections belong to the thread that made them."""

    def __init__(self, url):
        self._url = url
        self._local = threading.local()

    def _channel(self):
        channel = getattr(self._local, "channel", None)
        if channel is None or channel.is_closed:
            channel = connect(self._url).channel()
            declare(channel)
            channel.confirm_delivery()
            self._local.channel = channel
        return channel

    def publish(self, topic, event):
        """Returns when the broker has the message. A connection that broke since the last message is made again once."""
        for last in (False, True):
            try:
                self._channel().basic_publish(
                    EXCHANGE,
                    topic,
                    json.dumps(event).encode(),
                    pika.BasicProperties(content_type="application/json", delivery_mode=2, message_id=event["id"]),
                )
                return
            except (pika.exceptions.AMQPError, OSError):
                self._local.channel = None
                if last:
                    raise
                log.info("broker connection is made again")

    def check(self):
        """Raises when the broker does not answer."""
        self._channel().connection.process_data_events(time_limit=0)


class LoggedEvents:
    """Stands in for the broker where none is configured: events are logged."""

    def publish(self, topic, event):
        log.info("event", extra={"fields": {"topic": topic, "event": event}})

    def check(self):
        """There is nothing to reach."""
