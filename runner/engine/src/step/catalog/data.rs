//! `sql` and `redis`.

use prodmirror_model::schema::{Shape, choice, either, flag, integer, list, text, word};

use super::{Entry, MANY, OF_ENVIRONMENT, WORDS, field, port, service};

pub(super) static SQL: Entry = Entry {
    kind: "sql",
    shape: Shape::One(
        &[
            service("The service of the database"),
            choice(
                "engine",
                "Whose database it is",
                &["postgres", "postgresql", "mysql", "mariadb", "sqlite"],
            )
            .or("what the port, the service's environment or `file` tell, else postgres"),
            text(
                "query",
                "The statement; parameters are $1, $2, … or ? of MySQL and SQLite",
            )
            .eg("\"select state from orders where id = $1\""),
            list("params", "Values of the parameters", &Shape::Any).eg("[\"{{ order_id }}\"]"),
            list(
                "queries",
                "Statements that are run in order, up to the first that fails",
                &Shape::Either(&[
                    Shape::Text,
                    Shape::Object(&[
                        text("query", "The statement").required(),
                        list("params", "Values of its parameters", &Shape::Any),
                    ]),
                ]),
            )
            .eg("[\"select 1\"]"),
            word(
                "script",
                "A file of statements beside the scenario, without templates",
            )
            .eg("\"data/orders.sql\""),
            flag(
                "transaction",
                "All of `queries` or of a `script`, or nothing",
            ),
            flag("rollback", "Leaves nothing of it"),
            text("file", "The file of an SQLite database in the container").eg("\"/data/app.db\""),
            port("5432, 3306 of MySQL"),
            text("user", "The user").or(OF_ENVIRONMENT),
            text("password", "The password").or(OF_ENVIRONMENT),
            text("database", "The database").or(OF_ENVIRONMENT),
            either(
                "fails",
                "The statement must fail: true, this SQLSTATE, or this number of MySQL",
                &[
                    Shape::Flag,
                    Shape::Pattern("^([0-9A-Za-z]{5}|[0-9]{1,4})$"),
                    Shape::Integer(0, 99999),
                ],
            )
            .eg("\"23505\""),
        ],
        &["query", "queries", "script"],
    ),
    notes: r#"
PostgreSQL, MySQL or MariaDB, SQLite. Without `engine`, the port tells which (3306), the service's environment (`MYSQL_…`, `MARIADB_…`),
or a `file`; else it is PostgreSQL.

A mistake in a `script` is told with its line. MySQL commits by itself at statements such as `create table`. What is for `psql` or
`mysql` and not for a server is refused (`\connect`, `copy … from stdin`); `delimiter` is understood. Of several statements, `rows` are
those of the last that has some; of `queries`, `affected` counts all that have none.

**PostgreSQL.** `user`, `password` and `database` are those of the environment (`POSTGRES_USER`, `POSTGRES_PASSWORD`, `POSTGRES_DB`, or
with `_FILE`) unless said. Parameters (`$1`) take the type of their place: a text becomes a uuid, a timestamp, a number; objects become
JSON. Several statements without parameters can stand in one `query`; then all values are texts, as they are in a `script`.

**MySQL and MariaDB.** The user is that of `MYSQL_USER` or `MARIADB_USER`, else root; the password and database are those of the
environment (or with `_FILE`) unless said. Parameters are `?`; a text is sent as it is (`2024-02-29 12:00:00`). Decimals and
unsigned numbers keep all digits; dates and times are texts (`2024-02-29T12:00:00.5`, as the session's time zone has them), binary
values are base64, `bit` is a number, and JSON is JSON, of MariaDB in columns that are declared so. `affected` of an `update` counts rows
that changed. There is no TLS.

**SQLite.** `file` is a path in the container. It is copied out with its log while the service goes on, until two copies are the same;
statements only read. Numbers are numbers, blobs are base64. A file has at most 256 MiB, and cannot be in a `tmpfs`.
"#,
    results: &[
        ("rows", "The rows, as objects"),
        ("columns", "The names of the columns"),
        ("count", "How many rows there are"),
        ("affected", "How many rows were changed"),
        ("results", "The result of each of `queries`"),
        (
            "error",
            "Of a statement that failed: `code`, `number`, `message`, `detail`, `place`; else null",
        ),
        field::DURATION,
    ],
    examples: &[
        (
            "What must be in a table",
            r#"- eventually: { within: 30s, every: 500ms }
  sql: { service: db, query: "select state from orders where id = $1", params: ["{{ order_id }}"] }
  expect: rows[0].state == "paid""#,
        ),
        (
            "A statement that the database must refuse",
            r#"- sql: { service: db, query: "insert into orders (id) values (7)", fails: "23505" }
- sql: { service: maria, engine: mysql, query: "insert into orders (id) values (?)", params: [7], fails: 1062 }"#,
        ),
        (
            "Several statements, or none of them; and a file of statements",
            r#"- sql:
    service: db
    transaction: true
    queries:
      - { query: "update stock set qty = qty - $1", params: [2] }
      - select qty from stock
  expect: rows[0].qty >= 0 && results[0].affected == 1
- sql: { service: db, script: data/orders.sql }"#,
        ),
        (
            "An SQLite file of a service",
            r#"- sql: { service: app, file: /data/app.db, query: "select state from orders where id = ?", params: [7] }
  expect: count == 1"#,
        ),
    ],
    experimental: None,
};

pub(super) static REDIS: Entry = Entry {
    kind: "redis",
    shape: Shape::Object(&[
        service("The service"),
        either(
            "command",
            "The words of a command, or one text without quotes",
            &[Shape::Word, WORDS],
        )
        .required()
        .eg("[\"GET\", \"product:{{ sku }}\"]"),
        port("6379"),
        text("user", "The user"),
        text("password", "The password")
            .or("`REDIS_PASSWORD` of the service's environment (or with `_FILE`)"),
        integer("database", "The number of the database", 0, MANY).or("0"),
    ]),
    notes: "\nAny command. A command that Redis refuses fails the step.\n",
    results: &[
        ("value", "What Redis answered; null where there is nothing"),
        (
            "error",
            "What Redis said of a command that it refused; else null",
        ),
        field::DURATION,
    ],
    examples: &[
        (
            "What a cache holds after an act",
            r#"- redis: { service: redis, command: [GET, "product:{{ sku }}"] }
  expect: value != null"#,
        ),
        (
            "A value that is set before, in another database",
            r#"- redis: { service: redis, command: [SET, "product:{{ sku }}", 5] }
- redis: { service: redis, command: GET counter, database: 1 }
  expect: value == null"#,
        ),
    ],
    experimental: None,
};
