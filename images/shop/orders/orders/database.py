"""The pool of connections to PostgreSQL."""

import psycopg_pool
from psycopg.rows import dict_row

from shop import settings

DATABASE_ERRORS = (psycopg_pool.PoolTimeout,)


def open_pool():
    """A pool that connects in the background."""
    return psycopg_pool.ConnectionPool(
        settings.text("DATABASE_URL"),
        min_size=1,
        max_size=settings.number("DATABASE_POOL_SIZE", 4),
        timeout=settings.number("DATABASE_POOL_TIMEOUT_SECONDS", 5),
        max_lifetime=600,
        kwargs={
            "row_factory": dict_row,
            "application_name": "orders",
            "connect_timeout": 3,
            "options": f"-c statement_timeout={settings.number('DATABASE_STATEMENT_TIMEOUT_MS', 20000)}",
        },
    )
