"""Returns when nothing waits in the shipping queue, or fails after DRAIN_SECONDS."""

import sys
import time

from shop import broker, logs, settings


def main():
    logs.configure("worker")
    until = time.monotonic() + settings.number("DRAIN_SECONDS", 30)
    with broker.connect(settings.text("BROKER_URL")) as connection:
        channel = connection.channel()
        broker.declare(channel)
        while waiting := channel.queue_declare(broker.SHIPPING_QUEUE, passive=True).method.message_count:
            if time.monotonic() > until:
                print(f"{waiting} messages are still waiting")
                sys.exit(1)
            connection.sleep(0.1)
    print("the shipping queue is empty")


if __name__ == "__main__":
    main()
