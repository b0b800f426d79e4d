"""gunicorn's configuration."""

import os
import pathlib

from prometheus_client import multiprocess

from shop import settings

bind = "0.0.0.0:8080"
workers = settings.number("WEB_WORKERS", 1)
threads = settings.number("WEB_THREADS", 1)
timeout = 30
graceful_timeout = 10
keepalive = 30
preload_app = True
worker_tmp_dir = "/dev/shm"
# The service logs its own requests, as JSON.
accesslog = None
loglevel = "warning"


def on_starting(_server):
    metrics = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if metrics:
        pathlib.Path(metrics).mkdir(parents=True, exist_ok=True)


def post_worker_init(worker):
    """Connects to the database before the first request comes."""
    worker.wsgi.extensions["shop"].open_pool()


def child_exit(_server, worker):
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.mark_process_dead(worker.pid)
