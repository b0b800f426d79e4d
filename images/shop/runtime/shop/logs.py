"""One JSON object per line on standard output; the request's and the order's id are on every line that belongs to them."""

import contextlib
import contextvars
import datetime
import json
import logging
import os
import sys

_context = contextvars.ContextVar("log_context", default={})


@contextlib.contextmanager
def bound(**fields):
    """Adds fields to every line that is logged inside."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def bind(**fields):
    """Adds fields to every further line of the current context."""
    _context.set({**_context.get(), **fields})


def clear():
    _context.set({})


class JsonLines(logging.Formatter):
    def __init__(self, service):
        super().__init__()
        self.fixed = {"service": service, "release": os.environ.get("RELEASE", "")}

    def format(self, record):
        at = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        line = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "message": record.getMessage(),
            **self.fixed,
            **_context.get(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(service):
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(service))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(os.environ.get("LOG_LEVEL", "INFO"))
    # pika tells each step of each connection at INFO.
    logging.getLogger("pika").setLevel(logging.ERROR)
