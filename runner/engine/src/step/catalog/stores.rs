//! `mongo`, `s3`, `snapshot` and `restore`.

use prodmirror_model::schema::{
    Arg, Shape, any, arg, either, flag, integer, object, pairs, text, word,
};

use super::{Entry, OF_ENVIRONMENT, VERIFY, field, port, service};

const FILTER: Arg = any("filter", "Which documents").or("all");

pub(super) static MONGO: Entry = Entry {
    kind: "mongo",
    shape: Shape::One(
        &[
            service("The service of the database"),
            port("27017"),
            text("user", "The user").or(OF_ENVIRONMENT),
            text("password", "The password").or(OF_ENVIRONMENT),
            text("auth_database", "The database that knows the user").or("admin"),
            text("database", "The database").or(OF_ENVIRONMENT),
            text(
                "collection",
                "The collection; not of `command`, and of `aggregate` where the first stage needs one",
            ),
            object(
                "find",
                "Reads documents",
                &[
                    FILTER,
                    any("sort", "Their order"),
                    any("projection", "Which of their fields"),
                    integer("skip", "How many are left out", 0, i64::MAX),
                    integer("limit", "How many at most", 1, 10_000).or("all"),
                ],
            )
            .eg("{\"filter\": {\"state\": \"paid\"}, \"sort\": {\"at\": -1}, \"limit\": 10}"),
            object("count", "Counts documents", &[FILTER])
                .eg("{\"filter\": {\"state\": \"paid\"}}"),
            any("aggregate", "Reads what stages make: a list of them")
                .eg("[{\"$match\": {\"state\": \"paid\"}}, {\"$count\": \"n\"}]"),
            any("insert", "Inserts a document, or a list of them")
                .eg("{\"_id\": 7, \"state\": \"new\"}"),
            object(
                "update",
                "Changes a document",
                &[
                    any("filter", "Which documents")
                        .required()
                        .eg("{\"_id\": 7}"),
                    any("update", "Operators, or a list of stages")
                        .required()
                        .eg("{\"$set\": {\"state\": \"paid\"}}"),
                    flag(
                        "many",
                        "true: all that the filter finds, not only the first",
                    ),
                    flag("upsert", "true: makes a document where there is none"),
                ],
            ),
            object(
                "delete",
                "Deletes a document",
                &[
                    any("filter", "Which documents")
                        .required()
                        .eg("{\"_id\": 7}"),
                    flag(
                        "many",
                        "true: all that the filter finds, not only the first",
                    ),
                ],
            ),
            any("command", "Runs a command of the database").eg("{\"ping\": 1}"),
            either(
                "fails",
                "The operation must fail: true, or an error of this number or of this name",
                &[
                    Shape::Flag,
                    Shape::Pattern("^[0-9A-Za-z]+$"),
                    Shape::Integer(0, i32::MAX as i64),
                ],
            )
            .eg("11000"),
        ],
        &[
            "find",
            "count",
            "aggregate",
            "insert",
            "update",
            "delete",
            "command",
        ],
    ),
    notes: r#"
MongoDB from 4.2 on. User and password are those of the environment (`MONGO_INITDB_ROOT_USERNAME` and `MONGO_INITDB_ROOT_PASSWORD`,
`MONGODB_ROOT_USER` and `MONGODB_ROOT_PASSWORD`, or with `_FILE`) unless said; so is the database (`MONGO_INITDB_DATABASE`,
`MONGODB_DATABASE`). The step speaks to the service alone: of a replica set, name the member that takes writes. There is no TLS.

Values that JSON does not have are extended JSON, in both directions, so that what was captured can stand in a filter: an ObjectId is
`{ $oid: 65e0… }`, a date `{ $date: "2024-02-29T12:00:00Z" }`, a decimal `{ $numberDecimal: "12.50" }`, bytes
`{ $binary: { base64: …, subType: "00" } }`. Numbers are numbers. A step reads at most 10,000 documents and 16 MiB.

An error that the server answers with fails the step. Of several documents to insert, those before the one with the error stay.
"#,
    results: &[
        ("docs", "Of `find` and `aggregate`: the documents"),
        ("count", "How many documents were read, counted or inserted"),
        ("inserted_ids", "Of `insert`: the `_id` of each document"),
        ("matched", "Of `update`: how many the filter found"),
        ("modified", "Of `update`: how many were changed"),
        (
            "upserted_id",
            "Of `update` with `upsert`: the `_id` of the document that was made; else null",
        ),
        ("deleted", "Of `delete`: how many were deleted"),
        ("result", "Of `command`: the answer"),
        (
            "error",
            "Of an operation that failed: `code`, `name`, `message`, and `index` of the document; else null",
        ),
        field::DURATION,
    ],
    examples: &[
        (
            "What an act must have written",
            r#"- eventually: 10s
  mongo: { service: mongo, database: shop, collection: orders, find: { filter: { _id: "{{ order_id }}" } } }
  expect: docs[0].state == "paid""#,
        ),
        (
            "Data that is there before, and is gone after",
            r#"- id: made
  mongo: { service: mongo, database: shop, collection: orders, insert: [{ state: new, qty: 1 }, { state: new, qty: 2 }] }
  expect: count == 2
- mongo: { service: mongo, database: shop, collection: orders, update: { filter: { qty: { $gt: 1 } }, update: { $set: { state: paid } } } }
  expect: modified == 1
- mongo: { service: mongo, database: shop, collection: orders, delete: { filter: { _id: "{{ steps.made.inserted_ids[0] }}" } } }
  expect: deleted == 1"#,
        ),
        (
            "Sums, and what the database must refuse",
            r#"- mongo:
    service: mongo
    database: shop
    collection: orders
    aggregate: [{ $group: { _id: $state, total: { $sum: $qty } } }, { $sort: { _id: 1 } }]
  expect: docs[0].total > 0
- mongo: { service: mongo, database: shop, collection: orders, insert: { _id: 7 }, fails: 11000 }
- mongo: { service: mongo, database: shop, command: { listCollections: 1 } }
  expect: result.ok == 1.0"#,
        ),
    ],
    experimental: Some(
        "it was tried with a server that imitates MongoDB by mongomock, and with no real one",
    ),
};

pub(super) static S3: Entry = Entry {
    kind: "s3",
    shape: Shape::One(
        &[
            word("service", "The service of the store"),
            port("9000"),
            text(
                "url",
                "The URL of a declared name, in the place of a service",
            )
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
        (
            "objects",
            "Of `list`: each with `key`, `size`, `etag`, `modified`",
        ),
        ("count", "Of `list`: how many there are"),
        ("exists", "Whether the object is there"),
        ("size", "Its bytes"),
        ("etag", "Its ETag"),
        ("type", "Its type"),
        ("metadata", "Its metadata"),
        ("body", "Of `get`: the object as a text"),
        (
            "json",
            "Of `get`: the object as JSON; null where it is none",
        ),
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
    experimental: Some(
        "it was tried with moto, which imitates S3 and takes any signature, and with no real store",
    ),
};

const VOLUME: Arg = text("volume", "The volume").or("the only one, where there is one");

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
        (
            "Remembered under a name",
            "- snapshot: { volume: orders-db, as: paid }",
        ),
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
        (
            "What was remembered",
            "- restore: { volume: orders-db, to: paid }",
        ),
        ("As it was at the start", "- restore: {}"),
    ],
    experimental: None,
};
