"""Brings the database to this release's schema: runs, in order, the files of migrations/ that it has not run yet."""

import logging
import pathlib

import psycopg

from shop import logs, settings

MIGRATIONS = pathlib.Path("/srv/migrations")
# Only one migration runs at a time, whoever starts it.
LOCK = 762_345_001

log = logging.getLogger("migrate")


def main():
    logs.configure("migrate")
    with psycopg.connect(settings.text("DATABASE_URL"), autocommit=True, connect_timeout=5) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = {name for (name,) in connection.execute("SELECT name FROM schema_migrations")}
        for path in sorted(MIGRATIONS.glob("*.sql")):
            if path.stem in done:
                continue
            with connection.transaction():
                connection.execute(path.read_text(encoding="utf-8"))
                connection.execute("INSERT INTO schema_migrations (name) VALUES (%s)", (path.stem,))
            log.info("migration applied", extra={"fields": {"migration": path.stem}})
    log.info("schema is up to date")


if __name__ == "__main__":
    main()
