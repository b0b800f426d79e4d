//! `sql`, `redis`, `s3`, `snapshot` and `restore`.

use prodmirror_model::schema::{
    Shape, any, arg, choice, either, flag, integer, list, pairs, text, word,
};

use super::{Entry, MANY, OF_ENVIRONMENT, VERIFY, WORDS, field, port, service};

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
            text("query", "The statement; parameters are $1, $2, … or ? of MySQL and SQLite")
                .eg("\"select state from orders where id = $1\""),
            list("params", "Values of the parameters", &Shape::Any)
                .eg("[\"{{ order_id }}\"]"),
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
            word("script", "A file of statements beside the scenario, without templates")
                .eg("\"data/orders.sql\""),
            flag("transaction", "All of `queries` or of a `script`, or nothing"),
            flag("rollback", "Leaves nothing of it"),
            text("file", "The file of an SQLite database in the container")
                .eg("\"/data/app.db\""),
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
        ("error", "Of a statement that failed: `code`, `number`, `message`, `detail`, `place`; else null"),
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
        text("password", "The password").or("`REDIS_PASSWORD` of the service's environment (or with `_FILE`)"),
        integer("database", "The number of the database", 0, MANY).or("0"),
    ]),
    notes: "\nAny command. A command that Redis refuses fails the step.\n",
    results: &[
        ("value", "What Redis answered; null where there is nothing"),
        ("error", "What Redis said of a command that it refused; else null"),
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

pub(super) static S3: Entry = Entry {
    kind: "s3",
    shape: Shape::One(
        &[
            word("service", "The service of the store"),
            port("9000"),
            text("url", "The URL of a declared name, in the place of a service")
                .eg("\"https://s3.eu-west-1.amazonaws.com\""),
            flag("verify", VERIFY).or("true"),
            text("region", "The region").or("that of the environment, else us-east-1"),
            text("access_key", "The access key").or(OF_ENVIRONMENT),
            text("secret_key", "Its secret").or(OF_ENVIRONMENT),
            text("session_token", "A token that goes with the key").or(OF_ENVIRONMENT),
            flag("path_style", "false: the bucket is in the host name").or("true"),
            text("bucket", "The bucket"),
            arg(
                "put",
                "Puts an object",
                Shape::One(
                    &[
                        text("key", "Its key").required(),
                        any("json", "A JSON body"),
                        text("text", "A text as a body"),
                        text("base64", "Bytes as a body"),
                        text("type", "Its type").or("that of the body"),
                        pairs("metadata", "Metadata"),
                    ],
                    &["json", "text", "base64"],
                ),
            )
            .eg("{\"key\": \"orders/7.json\", \"json\": {\"id\": 7}}"),
            text("get", "Gets this object, of at most 16 MiB").eg("\"orders/7.json\""),
            text("head", "Looks whether this object is there"),
            either(
                "list",
                "Lists objects: all with a prefix, or as said",
                &[
                    Shape::Text,
                    Shape::Object(&[
                        text("prefix", "How their keys begin"),
                        text("delimiter", "Groups them by what stands before it"),
                        integer("most", "How many at most", 1, 10_000).or("all"),
                    ]),
                ],
            )
            .eg("{\"prefix\": \"orders/\"}"),
            text("delete", "Deletes this object"),
            text("create_bucket", "Makes this bucket"),
        ],
        &["put", "get", "head", "list", "delete", "create_bucket"],
    ),
    notes: r#"
An S3 store: a `service`, or the `url` of a declared name. Keys and the region are those of the environment (`AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `MINIO_ROOT_USER`, `MINIO_ROOT_PASSWORD`…, or with `_FILE`) unless said;
without any, requests are not signed. An object that is not there is an answer (404), which a step without `expect` does not accept.
"#,
    results: &[
        ("status", "The status of the answer"),
        ("bucket", "The bucket"),
        ("key", "The key of the object"),
        ("keys", "Of `list`: the keys"),
        ("prefixes", "Of `list` with `delimiter`: the groups"),
        ("objects", "Of `list`: each with `key`, `size`, `etag`, `modified`"),
        ("count", "Of `list`: how many there are"),
        ("exists", "Whether the object is there"),
        ("size", "Its bytes"),
        ("etag", "Its ETag"),
        ("type", "Its type"),
        ("metadata", "Its metadata"),
        ("body", "Of `get`: the object as a text"),
        ("json", "Of `get`: the object as JSON; null where it is none"),
        ("sha256", "The SHA-256 of what was put or got"),
        ("error", "`code` and `message` of a refusal; else null"),
        field::DURATION,
    ],
    examples: &[
        (
            "An object that must come",
            r#"- eventually: 10s
  s3: { service: minio, bucket: invoices, head: "orders/{{ order_id }}.pdf" }
  expect: exists && size > 1000"#,
        ),
        (
            "What is in it",
            r#"- s3: { service: minio, bucket: invoices, put: { key: "orders/7.json", json: { id: 7 }, metadata: { source: test } } }
- s3: { service: minio, bucket: invoices, get: orders/7.json }
  expect: json.id == 7 && type == "application/json""#,
        ),
        (
            "What is in a bucket",
            r#"- s3: { service: minio, create_bucket: archive }
- s3: { service: minio, bucket: invoices, list: { prefix: orders/, most: 100 } }
  expect: keys.exists(k, k.endsWith(".pdf"))
- s3: { url: "https://s3.eu-west-1.amazonaws.com", region: eu-west-1, bucket: invoices, delete: old }"#,
        ),
    ],
    experimental: Some("it was tried with moto, which imitates S3 and takes any signature, and with no real store"),
};

const VOLUME: prodmirror_model::schema::Arg =
    text("volume", "The volume").or("the only one, where there is one");

pub(super) static SNAPSHOT: Entry = Entry {
    kind: "snapshot",
    shape: Shape::Object(&[
        VOLUME,
        text("as", "The name under which it is remembered").required(),
    ]),
    notes: r#"
Remembers what a volume that starts from a [snapshot](../snapshots.md) holds. Services that use the volume are stopped cleanly, started
again, and waited for.
"#,
    results: &[
        ("volume", "The volume"),
        ("services", "The services that were stopped and started"),
        field::DURATION,
    ],
    examples: &[
        ("Remembered under a name", "- snapshot: { volume: orders-db, as: paid }"),
        (
            "Each try begins with the same data",
            r#"- snapshot: { as: before }
- for_each: [A1, B2]
  steps:
    - restore: { to: before }
    - http: { method: POST, url: "http://gateway/orders", json: { sku: "{{ item }}", qty: 1 } }"#,
        ),
    ],
    experimental: None,
};

pub(super) static RESTORE: Entry = Entry {
    kind: "restore",
    shape: Shape::Either(&[
        Shape::Object(&[
            VOLUME,
            text("to", "The name under which it was remembered").or("as it was at the start"),
        ]),
        Shape::Null,
    ]),
    notes: r#"
Puts back what [`snapshot`](snapshot.md) remembered. Services that use the volume are stopped cleanly, started again, and waited for.
"#,
    results: &[
        ("volume", "The volume"),
        ("services", "The services that were stopped and started"),
        field::DURATION,
    ],
    examples: &[
        ("What was remembered", "- restore: { volume: orders-db, to: paid }"),
        ("As it was at the start", "- restore: {}"),
    ],
    experimental: None,
};
