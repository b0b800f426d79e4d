"""Products are kept in Redis for a minute. A price change removes the product; a cache that is gone costs time, nothing else."""

import json
import logging

import redis

LIFETIME_SECONDS = 60

log = logging.getLogger(__name__)


class Cache:
    def __init__(self, url):
        self._redis = redis.Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5, health_check_interval=15)

    def get(self, sku):
        try:
            kept = self._redis.get(f"product:{sku}")
        except redis.RedisError as error:
            log.warning("cache is not there", extra={"fields": {"reason": str(error)}})
            return None
        return json.loads(kept) if kept else None

    def put(self, sku, product):
        try:
            self._redis.set(f"product:{sku}", json.dumps(product), ex=LIFETIME_SECONDS)
        except redis.RedisError as error:
            log.warning("cache is not there", extra={"fields": {"reason": str(error)}})

    def forget(self, sku):
        self._redis.delete(f"product:{sku}")

    def check(self):
        """Raises when Redis does not answer."""
        self._redis.ping()


class NoCache:
    """Where no cache is configured."""

    def get(self, _sku):
        return None

    def put(self, _sku, _product):
        """Nothing is kept."""

    def forget(self, _sku):
        """Nothing is kept."""

    def check(self):
        """There is nothing to reach."""
