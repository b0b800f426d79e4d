//! `grpc`, `websocket` and `tcp`.

use prodmirror_model::schema::{
    Shape, any, arg, duration, either, flag, integer, list, map, object, pairs, text, word,
};

use super::{CA, CLIENT_CERT, Entry, FIELDS, MOST_MESSAGES, PAYLOAD, PAYLOADS, VERIFY, field};

pub(super) static GRPC: Entry = Entry {
    kind: "grpc",
    shape: Shape::Object(&[
        arg(
            "service",
            "The service and its port",
            Shape::Pattern(r"^[^/]+:[0-9]+$"),
        )
        .required()
        .eg("\"orders:50051\""),
        arg(
            "method",
            "The method: `package.Service/Method`",
            Shape::Pattern("^/?[A-Za-z0-9_.]+/[A-Za-z0-9_]+$"),
        )
        .required()
        .eg("\"shop.Orders/Create\""),
        any("message", "The message, as JSON of proto3").eg("{\"sku\": \"A1\"}"),
        list("messages", "The messages of a stream", &Shape::Any).eg("[{\"sku\": \"A1\"}]"),
        pairs(
            "metadata",
            "Metadata; a name that ends with `-bin` takes base64",
        )
        .eg("{\"authorization\": \"Bearer {{ token }}\"}"),
        list("proto", "Files that describe the service", &Shape::Word).or("server reflection"),
        list(
            "import",
            "Directories in which imports of the files are",
            &Shape::Word,
        ),
        flag("tls", "Speaks TLS").or("false, or true with `verify`, `ca` or `client_cert`"),
        flag("verify", VERIFY).or("true"),
        CA,
        CLIENT_CERT,
        duration("deadline", "How long the server may take, told to it"),
        object(
            "receive",
            "How much of a stream is waited for",
            &[
                integer(
                    "count",
                    "Messages; 0 = none may come within 5 s",
                    0,
                    MOST_MESSAGES,
                ),
                duration("within", "Time"),
            ],
        )
        .or("all of it"),
    ]),
    notes: r#"
One message or a stream of them, both ways. The server describes its methods by server reflection (`v1` or `v1alpha`), or `proto` and
`import` name files and directories, relative to the scenario's file. With files, wrong names and values are found before anything
starts.

Field names may be written either way (`created_at`, `createdAt`), and texts, numbers and booleans take the type of their field where
they can. As long as more is waited for with `receive`, a stream to the server stays open. At most 10000 messages and 16 MiB are read.
`verify`, `ca` and `client_cert` are those of [`http`](http.md), and mean TLS. Connections and descriptions are kept for the scenario.

Answers are JSON as proto3 has it, but whole numbers of 64 bits are numbers, and fields with their default value are there. A stream
that the step left has the status `OK`. An error that did not come from the server itself is no answer.
"#,
    results: &[
        ("status", "The status: `OK`, `NOT_FOUND`…"),
        ("code", "The status as a number; 0 is `OK`"),
        ("message", "What the server said of an error"),
        ("json", "The answer; the last one of a stream"),
        ("messages", "All answers"),
        ("count", "How many answers came"),
        ("headers", "Metadata before the answer"),
        ("trailers", "Metadata after the answer"),
        ("details", "Details of an error, each with `@type`"),
        ("duration", "How long it took"),
    ],
    examples: &[
        (
            "A call, and one that is refused",
            r#"- grpc: { service: "orders:50051", method: shop.Orders/Create, message: { sku: "{{ sku }}", qty: 2 } }
  expect: json.state == "STATE_NEW"
- grpc: { service: "orders:50051", method: shop.Orders/Get, message: { id: 404 }, deadline: 2s }
  expect:
    - status == "NOT_FOUND"
    - details[0].reason == "NO_SUCH_ORDER""#,
        ),
        (
            "Streams to the server and from it",
            r#"- grpc: { service: "orders:50051", method: shop.Orders/Import, messages: [ { sku: A1 }, { sku: B2 } ] }
  expect: json.count == 2
- grpc: { service: "orders:50051", method: shop.Orders/Watch, receive: { count: 3, within: 5s } }"#,
        ),
        (
            "A server without reflection, over TLS",
            r#"- grpc: { service: "orders:443", method: shop.Orders/List, tls: true, proto: [protos/shop/orders.proto], import: [protos] }"#,
        ),
    ],
    experimental: None,
};

pub(super) static WEBSOCKET: Entry = Entry {
    kind: "websocket",
    shape: Shape::Object(&[
        arg(
            "url",
            "Opens a websocket here",
            Shape::Pattern(r"^wss?://|\{\{"),
        )
        .eg("\"ws://gateway/live\""),
        pairs("headers", "Headers of the request that opens it"),
        text("subprotocol", "The subprotocol that is asked for"),
        flag("verify", VERIFY).or("true"),
        either("send", "A message or several", PAYLOADS).eg("[\"hello\"]"),
        object(
            "receive",
            "Messages that must come",
            &[
                integer("count", "How many; 0 = none may come", 0, MOST_MESSAGES).or("1"),
                duration("within", "How long they may take").or("5 s"),
                map("where", FIELDS, &Shape::Any),
            ],
        )
        .eg("{\"count\": 1, \"within\": \"5s\"}"),
        word(
            "session",
            "The name under which it stays open for later steps",
        ),
        flag("close", "Ends the session"),
    ]),
    notes: r#"
Opens a websocket at a `url` (`ws://`, or `wss://`), or uses one that an earlier step opened as a `session`: those stay open for the
scenario, and what comes while other steps run is kept. A websocket without a name is closed when its step ends. `receive` takes messages
whose JSON is as `where` says; others stay for later steps. `count: 0` waits until the time is over or the server closes. Cookies of the
scenario's `http` steps are sent along.

A message may have 16 MiB; between two steps 10000 messages or 16 MiB are kept, and what is more is counted as `lost`.
"#,
    results: &[
        (
            "messages",
            "What came, each with `type`, `text`, `json`, `bytes`, and `base64` where it is binary",
        ),
        ("count", "How many messages came"),
        ("lost", "How many were too many to keep"),
        (
            "status",
            "101, or that of the response with which the server refuses",
        ),
        ("headers", "Headers of the response"),
        ("body", "The body of a refusal"),
        (
            "close_code",
            "Why it was closed; null while it is open; 1005 where the server gave no code, 1006 where the connection was cut",
        ),
        (
            "close_reason",
            "What the server said when it closed; null while it is open",
        ),
        ("duration", "How long it took"),
    ],
    examples: &[
        (
            "A question and its answers",
            r#"- websocket:
    url: "ws://gateway/live"
    send: [hello, { json: { watch: "{{ sku }}" } }]
    receive: { count: 2, within: 5s }
  expect: messages[1].json.qty > 0"#,
        ),
        (
            "One that stays open while other steps act",
            r#"- websocket: { url: "ws://gateway/live", headers: { Authorization: "Bearer {{ token }}" }, subprotocol: v2, session: live }
- http: { method: POST, url: "http://gateway/orders", json: { sku: "{{ sku }}" } }
- websocket: { session: live, receive: { within: 10s, where: { event: order.paid, total: { gt: 0 } } } }
- websocket: { session: live, receive: { count: 0, within: 500ms }, close: true }"#,
        ),
    ],
    experimental: None,
};

pub(super) static TCP: Entry = Entry {
    kind: "tcp",
    shape: Shape::Object(&[
        arg(
            "host",
            "The host and its port",
            Shape::Pattern(r"^[^/ ]+:[0-9]+$|\{\{"),
        )
        .required()
        .eg("\"db:5432\""),
        either("send", "What is sent", PAYLOAD).eg("\"PING\\r\\n\""),
        flag("end", "Nothing more is sent"),
        either("until", "Reads until these bytes came", PAYLOAD).eg("\"\\r\\n\""),
        integer("bytes", "Reads so many bytes", 1, 16 * 1024 * 1024),
        duration("within", "How long that may take; alone: reads until then").or("5 s"),
        integer("limit", "Bytes that are read at most", 1, 16 * 1024 * 1024).or("1 MiB"),
        flag("tls", "Speaks TLS"),
        flag("verify", VERIFY).or("true"),
        flag("refused", "No connection may be possible"),
    ]),
    notes: r#"
Connects, sends, and reads: `until` some bytes came, or `bytes` so many, which must happen `within` a time; or, with `within` alone, what
comes until then or until the server closes. Without any of these nothing is read.
"#,
    results: &[
        ("connected", "Whether there was a connection"),
        (
            "received",
            "What came as a text, with replacements for what is no UTF-8",
        ),
        ("hex", "What came as hexadecimal digits"),
        ("bytes", "How many bytes came"),
        ("closed", "Whether the server closed the connection"),
        ("truncated", "Whether more came than is read"),
        ("error", "Why a connection was cut, or not possible"),
        field::DURATION,
    ],
    examples: &[
        (
            "A line and its answer",
            r#"- tcp: { host: "redis:6379", send: "PING\r\n", until: "\r\n" }
  expect: received.startsWith("-NOAUTH")"#,
        ),
        (
            "Bytes of a protocol",
            r#"- tcp: { host: "meter:502", send: { hex: "00 01 00 00 00 06 01 03" }, bytes: 9, within: 2s }
  expect: hex.startsWith("0001")"#,
        ),
        (
            "What greets over TLS, and a port that must be shut",
            r#"- tcp: { host: "mail:465", tls: true, within: 1s }
  expect: received.contains("ESMTP")
- tcp: { host: "db:5432", refused: true }"#,
        ),
    ],
    experimental: None,
};
