//! `s3`, `snapshot` and `restore`.

use prodmirror_model::schema::{Arg, Shape, any, arg, either, flag, integer, pairs, text, word};

use super::{Entry, OF_ENVIRONMENT, VERIFY, field, port};

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
