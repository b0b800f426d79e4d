//! `nats` and `mqtt`.

use prodmirror_model::schema::{
    Arg, Shape, any, duration, flag, integer, list, map, object, pairs, text,
};

use super::{
    CA, CLIENT_CERT, Entry, FIELDS, MOST_MESSAGES, OF_ENVIRONMENT, VERIFY, field, port, service,
};

const COUNT: Arg = integer("count", "How many; 0 = none may come", 0, MOST_MESSAGES).or("1");
const WITHIN: Arg = duration("within", "How long they may take").or("5 s");
const WHERE: Arg = map("where", FIELDS, &Shape::Any);
const ACK: Arg = flag("ack", "false: they stay there").or("true");
const FROM: Arg =
    text("from", "The name of the subscription").or("the only one, where there is one");
const AS: Arg = text("as", "The name under which it is kept").or("what is subscribed to");
const QOS: Arg = integer("qos", "Quality of service", 0, 2).or("1");

pub(super) static NATS: Entry = Entry {
    kind: "nats",
    shape: Shape::One(
        &[
            service("The service"),
            port("4222"),
            text("user", "The user").or(OF_ENVIRONMENT),
            text("password", "The password").or(OF_ENVIRONMENT),
            text("token", "A token, in the place of a user").or(OF_ENVIRONMENT),
            flag("verify", VERIFY).or("true"),
            CA,
            CLIENT_CERT,
            object(
                "publish",
                "Sends a message",
                &[
                    text("subject", "The subject").required(),
                    any("json", "A JSON body"),
                    text("text", "A text as a body"),
                    text("base64", "Bytes as a body"),
                    pairs("headers", "Headers"),
                    flag("jetstream", "It must reach a stream"),
                ],
            )
            .eg("{\"subject\": \"orders.paid\", \"json\": {\"id\": 7}}"),
            object(
                "request",
                "Sends a message and waits for the reply",
                &[
                    text("subject", "The subject").required(),
                    any("json", "A JSON body"),
                    text("text", "A text as a body"),
                    text("base64", "Bytes as a body"),
                    pairs("headers", "Headers"),
                    duration("within", "How long the reply may take").or("5 s"),
                ],
            )
            .eg("{\"subject\": \"price\", \"json\": {\"sku\": \"A1\"}}"),
            object(
                "subscribe",
                "Keeps what comes from now on",
                &[
                    text("subject", "The subject, with `*` and `>`").required(),
                    AS,
                    text("group", "The queue group"),
                ],
            )
            .eg("{\"subject\": \"orders.*\", \"as\": \"seen\"}"),
            object(
                "get",
                "Takes messages of a subscription or of a stream",
                &[
                    FROM,
                    text("stream", "The stream, in the place of a subscription"),
                    text(
                        "durable",
                        "The consumer of the stream that goes on where it stopped",
                    ),
                    text("filter", "Only this subject of the stream"),
                    COUNT,
                    WITHIN,
                    WHERE,
                    ACK,
                ],
            )
            .eg("{\"count\": 1, \"within\": \"10s\"}"),
            text(
                "drain",
                "Takes all that this subscription has, without waiting",
            ),
            object(
                "declare",
                "Declares a stream; one that is there is left as it is",
                &[
                    text("stream", "The stream").required(),
                    list("subjects", "What it stores", &Shape::Text)
                        .required()
                        .eg("[\"orders.>\"]"),
                    flag("durable", "true: on disk").or("false: in memory"),
                ],
            ),
            text("stream", "Says how deep this stream is"),
            text("purge", "Empties this stream"),
        ],
        &[
            "publish",
            "request",
            "subscribe",
            "get",
            "drain",
            "declare",
            "stream",
            "purge",
        ],
    ),
    notes: r#"
Subscribe before the act: what came earlier is not kept. A subscription is kept for the scenario under its name. It keeps 10000 messages
or 16 MiB, and counts what is more as `lost`. When the server closes the connection, the subscription is over, and `get` is errored. `get`
from a `stream` takes the messages from its beginning, or goes on where a `durable` consumer stopped. `user` and `password`, or `token`,
are those of the environment (`NATS_USER`, `NATS_PASSWORD`, `NATS_TOKEN`, or with `_FILE`) unless said. TLS is spoken where the
server demands it, or where the step has `ca` or `client_cert`; the certificate must be that of the service.
"#,
    results: &[
        (
            "messages",
            "What came, each with `subject`, `json`, `body`, `bytes`, `headers`, `reply`, `base64` where it is no text, and `sequence` and `delivered` where it is of a stream",
        ),
        ("count", "How many messages came"),
        ("lost", "How many were too many to keep"),
        ("subject", "The subject; of a reply, its own"),
        ("subscription", "The name of the subscription"),
        ("json", "Of a reply: its JSON; null where it is none"),
        ("body", "Of a reply: its text"),
        ("headers", "Of a reply: its headers"),
        ("stream", "The stream; null where none took the message"),
        (
            "sequence",
            "The number that the stream gave to what was published",
        ),
        ("duplicate", "Whether the stream had it already"),
        ("exists", "Whether the stream is there"),
        ("depth", "How many messages the stream has"),
        ("consumers", "How many consumers it has"),
        ("purged", "How many messages were thrown away"),
        field::DURATION,
    ],
    examples: &[
        (
            "A message that an act must lead to",
            r#"- nats: { service: nats, subscribe: { subject: "orders.*", as: seen } }
- nats: { service: nats, publish: { subject: orders.new, json: { id: "{{ order_id }}" }, headers: { Trace: t-1 } } }
- nats: { service: nats, get: { from: seen, count: 1, within: 10s, where: { id: "{{ order_id }}" } } }
  expect: messages[0].subject == "orders.new"
- nats: { service: nats, drain: seen }"#,
        ),
        (
            "A request and its reply",
            r#"- nats: { service: nats, request: { subject: price, json: { sku: "{{ sku }}" }, within: 2s } }
  expect: json.cents > 0"#,
        ),
        (
            "JetStream",
            r#"- nats: { service: nats, declare: { stream: ORDERS, subjects: ["orders.>"] } }
- nats: { service: nats, publish: { subject: orders.paid, json: { id: 7 }, jetstream: true } }
  expect: stream == "ORDERS" && !duplicate
- nats: { service: nats, get: { stream: ORDERS, durable: reader, filter: orders.paid, count: 1 } }
- nats: { service: nats, stream: ORDERS }
  expect: depth == 1
- nats: { service: nats, purge: ORDERS }"#,
        ),
    ],
    experimental: None,
};

pub(super) static MQTT: Entry = Entry {
    kind: "mqtt",
    shape: Shape::One(
        &[
            service("The service of the broker"),
            port("1883"),
            text("user", "The user").or(OF_ENVIRONMENT),
            text("password", "The password").or(OF_ENVIRONMENT),
            object(
                "publish",
                "Sends a message",
                &[
                    text("topic", "The topic").required(),
                    any("json", "A JSON body"),
                    text("text", "A text as a body"),
                    text("base64", "Bytes as a body"),
                    QOS,
                    flag("retain", "The broker keeps it for whoever subscribes later"),
                ],
            )
            .eg("{\"topic\": \"shop/orders\", \"json\": {\"id\": 7}}"),
            object(
                "subscribe",
                "Keeps what comes from now on, and what is retained",
                &[
                    text("topic", "The topic, with `+` and `#`").eg("\"shop/+/paid\""),
                    list("topics", "Several topics", &Shape::Text),
                    QOS,
                    AS,
                ],
            )
            .eg("{\"topic\": \"shop/#\", \"as\": \"seen\"}"),
            object(
                "get",
                "Takes messages of a subscription",
                &[FROM, COUNT, WITHIN, WHERE, ACK],
            )
            .eg("{\"count\": 1, \"within\": \"10s\"}"),
            text(
                "drain",
                "Takes all that this subscription has, without waiting",
            ),
        ],
        &["publish", "subscribe", "get", "drain"],
    ),
    notes: r#"
MQTT 3.1.1, without TLS. Subscribe before the act. Each subscription has a connection of its own, and is kept for the scenario; it keeps
10000 messages or 16 MiB, and counts what is more as `lost`. `user` and `password` are those of the environment (`MQTT_USER`,
`MQTT_PASSWORD`, or with `_FILE`) unless said.
"#,
    results: &[
        (
            "messages",
            "What came, each with `topic`, `json`, `body`, `bytes`, `qos`, `retain`, and `base64` where it is no text",
        ),
        ("count", "How many messages came"),
        ("lost", "How many were too many to keep"),
        ("topic", "Of `publish`: the topic"),
        ("topics", "Of `subscribe`: the topics"),
        ("subscription", "The name of the subscription"),
        field::DURATION,
    ],
    examples: &[
        (
            "A message that an act must lead to",
            r#"- mqtt: { service: mosquitto, subscribe: { topics: ["shop/+/paid", "stock/#"], as: seen } }
- mqtt: { service: mosquitto, publish: { topic: "shop/{{ order_id }}/paid", json: { id: "{{ order_id }}" }, qos: 2 } }
- mqtt: { service: mosquitto, get: { from: seen, within: 10s } }
  expect: messages[0].topic.startsWith("shop/")
- mqtt: { service: mosquitto, drain: seen }"#,
        ),
        (
            "A state that stays",
            "- mqtt: { service: mosquitto, publish: { topic: state/door, text: open, retain: true } }",
        ),
    ],
    experimental: None,
};
