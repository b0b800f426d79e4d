//! `amqp` and `kafka`.

use prodmirror_model::schema::{
    Shape, any, arg, choice, duration, either, flag, integer, map, object, pairs, text,
};

use super::{Entry, FIELDS, OF_ENVIRONMENT, field, port, service};

pub(super) static AMQP: Entry = Entry {
    kind: "amqp",
    shape: Shape::One(
        &[
            service("The service of the broker"),
            port("5672"),
            text("user", "The user").or(OF_ENVIRONMENT),
            text("password", "The password").or(OF_ENVIRONMENT),
            text("vhost", "The virtual host").or(OF_ENVIRONMENT),
            object(
                "publish",
                "Sends a message, to an exchange or to a queue",
                &[
                    text("exchange", "The exchange"),
                    text("routing_key", "The routing key"),
                    text("queue", "The queue, in the place of an exchange"),
                    any("json", "A JSON body"),
                    text("text", "A text as a body"),
                    pairs("headers", "Headers"),
                    object(
                        "properties",
                        "Properties of the message",
                        &[
                            text("content_type", "Its type").or("that of the body"),
                            text("correlation_id", "What it answers"),
                            text("reply_to", "Where the answer goes"),
                            text("message_id", "Its identity"),
                            text("expiration", "When it is dropped, in milliseconds"),
                            text("type", "Its kind, in the words of the application"),
                            text("app_id", "Who sends it"),
                            integer("priority", "Its priority", 0, 255),
                            flag("persistent", "Whether it outlives the broker").or("true"),
                        ],
                    ),
                    flag("mandatory", "false: it need not reach a queue").or("true"),
                ],
            )
            .eg("{\"exchange\": \"shop\", \"routing_key\": \"order.paid\", \"json\": {\"id\": 7}}"),
            object(
                "get",
                "Takes messages of a queue",
                &[
                    text("queue", "The queue").required(),
                    integer("count", "How many; 0 = none may come", 0, 10_000).or("1"),
                    duration("within", "How long they may take to come").or("5 s"),
                    flag("ack", "false: they go back to the queue").or("true"),
                ],
            )
            .eg("{\"queue\": \"seen\", \"count\": 1, \"within\": \"10s\"}"),
            text("queue", "Says how deep this queue is"),
            text("purge", "Empties this queue"),
            object(
                "declare",
                "Declares a queue, which is gone with the scenario unless `durable`",
                &[
                    text("queue", "The queue").required(),
                    flag("durable", "It stays"),
                    flag("exclusive", "It is only for this connection")
                        .or("true, or false with `durable`"),
                    object(
                        "bind",
                        "What comes to it",
                        &[
                            text("exchange", "The exchange").required(),
                            text("routing_key", "The routing key"),
                        ],
                    ),
                ],
            ),
        ],
        &["publish", "get", "queue", "purge", "declare"],
    ),
    notes: r#"
RabbitMQ. A message that is published must reach a queue unless `mandatory: false`. User, password and virtual host are those of the
environment (`RABBITMQ_DEFAULT_USER`, `RABBITMQ_DEFAULT_PASS`, `RABBITMQ_DEFAULT_VHOST`, or with `_FILE`), else `guest`, `guest` and `/`.
"#,
    results: &[
        (
            "messages",
            "What was taken, each with `json`, `body`, `exchange`, `routing_key`, `redelivered`, `headers`, `content_type`, `correlation_id`, `reply_to`, `message_id`, `type`, `app_id`, `priority`, `persistent`",
        ),
        ("count", "How many messages were taken"),
        ("depth", "How many messages are in the queue"),
        ("consumers", "How many consumers the queue has"),
        ("routed", "Whether what was published reached a queue"),
        ("purged", "How many messages were thrown away"),
        ("queue", "The queue"),
        ("exists", "Whether the queue is there"),
        field::DURATION,
    ],
    examples: &[
        (
            "A message that an act must lead to: the queue is bound before it",
            r#"- amqp: { service: rabbitmq, declare: { queue: seen, bind: { exchange: shop, routing_key: "order.*" } } }
- http: { method: POST, url: "http://gateway/orders/{{ order_id }}/pay" }
- amqp: { service: rabbitmq, get: { queue: seen, count: 1, within: 10s } }
  expect: messages[0].json.id == order_id"#,
        ),
        (
            "A message for a service",
            r#"- amqp:
    service: rabbitmq
    publish: { exchange: shop, routing_key: order.paid, json: { id: "{{ order_id }}" }, properties: { message_id: m-1 } }"#,
        ),
        (
            "A queue that is empty in the end, or is emptied",
            r#"- eventually: 10s
  amqp: { service: rabbitmq, queue: shipping }
  expect: depth == 0
- amqp: { service: rabbitmq, purge: shipping }"#,
        ),
    ],
    experimental: None,
};

pub(super) static KAFKA: Entry = Entry {
    kind: "kafka",
    shape: Shape::One(
        &[
            service("The service of a broker"),
            port("9092"),
            text("user", "The user, where brokers ask for one"),
            text("password", "The password of the user"),
            choice(
                "mechanism",
                "How the password is told",
                &["plain", "scram-sha-256", "scram-sha-512"],
            )
            .or("plain"),
            arg(
                "produce",
                "Sends a message",
                Shape::One(
                    &[
                        text("topic", "The topic").required(),
                        any("key", "Its key"),
                        any("json", "A JSON body"),
                        text("text", "A text as a body"),
                        flag("tombstone", "true: no body, which deletes a key"),
                        pairs("headers", "Headers"),
                        integer("partition", "The partition", 0, i32::MAX as i64)
                            .or("that of the key, as Java's clients choose it"),
                    ],
                    &["json", "text", "tombstone"],
                ),
            )
            .eg("{\"topic\": \"orders\", \"json\": {\"id\": 7}}"),
            object(
                "consume",
                "Waits for messages",
                &[
                    text("topic", "The topic").required(),
                    integer("count", "How many; 0 = none may come", 0, 10_000).or("1"),
                    duration("within", "How long they may take").or("10 s"),
                    either(
                        "from",
                        "Where to begin: an offset is one of a `partition`",
                        &[
                            Shape::Choice(&["beginning", "end"]),
                            Shape::Integer(0, i64::MAX),
                        ],
                    )
                    .or("where the scenario has last ended, at first the beginning"),
                    text("since", "Where to begin: a mark"),
                    integer("partition", "Only this partition", 0, i32::MAX as i64),
                    any("key", "Only messages with this key"),
                    map("where", FIELDS, &Shape::Any),
                ],
            )
            .eg("{\"topic\": \"orders\", \"within\": \"10s\"}"),
            object(
                "mark",
                "Remembers where a topic ends",
                &[
                    text("topic", "The topic").required(),
                    text("as", "The name of the mark").required(),
                ],
            ),
            flag("topics", "Lists the topics"),
            either(
                "create_topic",
                "Makes a topic: a name, or as said",
                &[
                    Shape::Word,
                    Shape::Object(&[
                        text("name", "Its name").required(),
                        integer(
                            "partitions",
                            "How many partitions it has",
                            1,
                            i32::MAX as i64,
                        )
                        .or("what the broker is set to"),
                        integer(
                            "replication",
                            "How many brokers have each",
                            1,
                            i16::MAX as i64,
                        )
                        .or("what the broker is set to"),
                    ]),
                ],
            )
            .eg("{\"name\": \"audit\", \"partitions\": 3}"),
        ],
        &["produce", "consume", "mark", "topics", "create_topic"],
    ),
    notes: r#"
Brokers announce themselves by production's own names, which lead into the stack. `mark` before the act and `consume` `since` the mark,
so that nothing is missed. No consumer group is used, and nothing is committed. There is no TLS. `where` is that of [`logs`](logs.md).
Logins (`user`, `mechanism`) and `create_topic` have met no broker that knows them: librdkafka's test cluster does not.
"#,
    results: &[
        (
            "messages",
            "What came, each with `topic`, `partition`, `offset`, `key`, `body`, `json`, `headers`, `timestamp`",
        ),
        ("count", "How many messages came"),
        ("topic", "The topic"),
        (
            "partition",
            "Of `produce`: the partition that took the message",
        ),
        ("offset", "Of `produce`: the message's offset"),
        ("offsets", "Where each partition goes on"),
        ("topics", "Of `topics`: their names"),
        (
            "partitions",
            "How many partitions the topic has; of `topics`: each of them, by its name",
        ),
        ("error", "What the broker said of a refusal"),
        field::DURATION,
    ],
    examples: &[
        (
            "A message that an act must lead to",
            r#"- kafka: { service: kafka, mark: { topic: shipped, as: before } }
- kafka: { service: kafka, produce: { topic: orders, key: "{{ order_id }}", json: { id: "{{ order_id }}" }, headers: { source: test } } }
- kafka: { service: kafka, consume: { topic: shipped, since: before, where: { id: "{{ order_id }}" }, within: 30s } }
  expect: messages[0].json.state == "shipped""#,
        ),
        (
            "Nothing more may come",
            "- kafka: { service: kafka, consume: { topic: shipped, count: 0, within: 2s } }",
        ),
        (
            "Topics",
            r#"- kafka: { service: kafka, create_topic: { name: audit, partitions: 3 } }
- kafka: { service: kafka, topics: true }
  expect: '"audit" in topics'"#,
        ),
    ],
    experimental: Some(
        "it was tried with the brokers of librdkafka's test cluster, and with no release of Apache Kafka",
    ),
};
