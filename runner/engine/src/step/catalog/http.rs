//! `http`.

use prodmirror_model::schema::{
    Shape, any, arg, calc, choice, duration, flag, integer, list, object, pairs, text, word,
};

use super::{CA, CLIENT_CERT, Entry, MANY, MOST_MESSAGES, VERIFY};

const PART: Shape = Shape::Object(&[
    text("name", "The name of the field").required(),
    any("value", "Its value"),
    text(
        "file",
        "A file beside the scenario's, in the place of a value",
    ),
    text("filename", "The name of the file that is told"),
    text("content_type", "The type that is told").or("what the name of the file tells"),
]);

pub(super) static HTTP: Entry = Entry {
    kind: "http",
    shape: Shape::Object(&[
        text(
            "url",
            "Where to: the scheme, a service or declared name, and a path",
        )
        .required()
        .eg("\"http://gateway/orders\""),
        word("method", "The method").or("GET, or POST where there is a body"),
        pairs("query", "Parameters that are added to the URL").eg("{\"page\": 2}"),
        pairs("headers", "Headers").eg("{\"Accept\": \"application/json\"}"),
        any("json", "A JSON body").eg("{\"sku\": \"A1\", \"qty\": 1}"),
        pairs("form", "The fields of a form, as a body"),
        text("body", "A text as a body"),
        text(
            "body_file",
            "A file beside the scenario's as a body, as it is",
        )
        .eg("\"data/orders.csv\""),
        list(
            "multipart",
            "The parts of a form, as a body: each has a value or a file",
            &PART,
        )
        .eg("[{\"name\": \"sku\", \"value\": \"A1\"}]"),
        object(
            "graphql",
            "A GraphQL request as a body",
            &[
                text("query", "The query or mutation").required(),
                any("variables", "Its variables").eg("{\"id\": 7}"),
                text("operation", "Which of several operations is meant"),
            ],
        )
        .eg("{\"query\": \"{ orders { state } }\"}"),
        choice("compress", "Packs the body", &["gzip"]),
        object(
            "events",
            "Reads server-sent events as they come",
            &[
                integer(
                    "count",
                    "Until so many came; 0 = none may come within 5 s",
                    0,
                    MOST_MESSAGES,
                ),
                duration("within", "Until this time is over"),
                calc(
                    "until",
                    "Until this is true of an event: it sees `event`, `id`, `data` and `json`",
                ),
            ],
        )
        .eg("{\"count\": 2, \"within\": \"5s\"}"),
        object(
            "auth",
            "Who asks: one of the two",
            &[
                object(
                    "basic",
                    "A user and a password",
                    &[
                        text("user", "The user").required(),
                        text("password", "The password"),
                    ],
                ),
                text("bearer", "A token"),
            ],
        )
        .eg("{\"bearer\": \"{{ secrets.KEY }}\"}"),
        integer("redirects", "How many redirects are followed", 0, MANY).or("10"),
        choice(
            "version",
            "`2` = HTTP/2 from the start; `1.1` and `1.0` = no HTTP/2",
            &["1.0", "1.1", "2"],
        )
        .or("what TLS agrees on, else 1.1"),
        flag("verify", VERIFY).or("true"),
        CA,
        CLIENT_CERT,
        arg(
            "connect_timeout",
            "How long a connection may take",
            Shape::Duration,
        )
        .or("10 s"),
    ]),
    notes: r#"
A request has one of `json`, `form`, `body`, `body_file`, `multipart` and `graphql`. Cookies and connections are kept for the scenario. A
body that comes may have 16 MiB, one that is sent from files 64 MiB. A body that comes as gzip, deflate, br or zstd is
unpacked (server-sent events: not zstd).

`body_file`, and `file` of a part, are paths relative to the scenario's file. They are sent as they are, without templates, with the
type that their name tells unless `content_type` (of a part) or a header says another.

`client_cert` shows a certificate to a server that wants one; `ca` trusts authorities beside the mirror's own. `graphql` sends its query
by POST; without `expect` the answer may have no `errors`.

`events` ends at the latest when the response ends. At most 10000 are read. Too few are a failure.

`encoded_size`, `sha256`, `remote`, `timings`, `certificate` and `request` are there where the scenario's file names them.
"#,
    results: &[
        ("status", "The status code"),
        (
            "headers",
            "Headers by their names in lower case; `set-cookie` is a list",
        ),
        ("body", "The body as a text"),
        ("json", "The body as JSON; null where it is none"),
        ("duration", "How long it took, redirects included"),
        ("url", "The URL that answered in the end"),
        ("version", "The version of HTTP"),
        ("redirects", "The redirects that were followed"),
        (
            "cookies",
            "The cookies of the scenario for this URL, by name",
        ),
        ("size", "Bytes of the body"),
        (
            "encoded_size",
            "Bytes of the body as they came, packed or not",
        ),
        (
            "events",
            "Server-sent events, each with `event`, `id`, `data`, `json`, where they are asked for",
        ),
        ("sha256", "The SHA-256 of the body"),
        (
            "certificate",
            "Of the server: `subject`, `issuer`, `start_date`, `expire_date`, `serial_number`, `subject_alt_name`, `sha256`; null without TLS",
        ),
        (
            "timings",
            "`connect` (nothing where a connection was open) and `first_byte`, durations as `duration`",
        ),
        ("remote", "The address that answered: `host:port`"),
        (
            "request",
            "`method`, `url`, `headers`, `body` as they were sent, credentials hidden",
        ),
    ],
    examples: &[
        (
            "An order is taken, and its id is kept",
            r#"- http: { method: POST, url: "http://gateway/orders", json: { sku: "{{ sku }}", qty: 2 } }
  expect:
    - status == 201
    - json.total > 0
  capture: { new_id: { jsonpath: $.id } }"#,
        ),
        (
            "Bodies of other kinds: a form, a file, a form with files",
            r#"- http: { url: "http://gateway/login", form: { user: ann, password: "{{ secrets.PASSWORD }}" } }
- http: { url: "http://gateway/import", body_file: data/orders.csv, compress: gzip }
- http:
    url: "http://gateway/photos"
    multipart:
      - { name: sku, value: "{{ sku }}" }
      - { name: photo, file: data/mug.png, content_type: image/png }"#,
        ),
        (
            "A server that wants a certificate",
            r#"- http: { url: "https://gateway/admin", client_cert: { cert: tls/ann.pem, key: tls/ann.key }, ca: tls/ca.pem }
  expect: certificate.expire_date > "2030""#,
        ),
        (
            "GraphQL, and events as they come",
            r#"- http:
    url: "http://gateway/graphql"
    graphql: { query: "query Q($id: ID!) { order(id: $id) { state } }", variables: { id: "{{ order_id }}" } }
  expect: json.data.order.state == "paid"
- http: { url: "http://gateway/events", events: { until: "event == 'order' && json.state == 'paid'", within: 10s } }"#,
        ),
    ],
    experimental: None,
};
