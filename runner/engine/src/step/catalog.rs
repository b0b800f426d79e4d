//! What each kind of step takes: its keys, for the schema of scenario files and for people.
//!
//! One entry for each kind. A test asks each kind's own reader which keys it knows, and fails
//! where this table says otherwise, or where a kind is missing; it then prints the keys.

use prodmirror_model::schema::{
    Arg, KindDoc, Shape, any, calc, choice, duration, either, flag, integer, list, map, object,
    pairs, text, word,
};

use super::KINDS;

/// Numbers that fit into 32 bits.
const MANY: i64 = u32::MAX as i64;

/// A port of a service.
const fn port(usual: &'static str) -> Arg {
    integer("port", usual, 0, 65535)
}

/// The service that a step is about.
const fn service(help: &'static str) -> Arg {
    word("service", help).required()
}

/// Words of a command.
const WORDS: Shape = Shape::List(&Shape::Text);

/// Which lines of a log are meant.
const LINES: &[Shape] = &[
    Shape::Text,
    Shape::Object(&[
        text("contains", "Lines that contain this text"),
        word("matches", "Lines in which this regular expression is found"),
        map(
            "where",
            "Fields of a line that is JSON, each a value or predicates",
            &Shape::Any,
        ),
        choice("stream", "Only this stream", &["stdout", "stderr"]),
    ]),
];

/// What each kind takes, by its name.
static CATALOG: &[(&str, Shape)] = &[
    (
        "http",
        Shape::Object(&[
            text(
                "url",
                "Where to: the scheme, a service or declared name, and a path",
            )
            .required()
            .eg("\"http://gateway/orders\""),
            word("method", "GET, or POST where there is a body"),
            pairs("query", "Parameters that are added to the URL").eg("{\"page\": 2}"),
            pairs("headers", "Headers").eg("{\"Accept\": \"application/json\"}"),
            any("json", "A JSON body").eg("{\"sku\": \"A1\", \"qty\": 1}"),
            pairs("form", "The fields of a form, as a body"),
            text("body", "A text as a body"),
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
            integer(
                "redirects",
                "How many redirects are followed; 10 unless said",
                0,
                MANY,
            ),
            choice("version", "2 = HTTP/2 from the start", &["1.1", "2"]),
            flag("verify", "false: any certificate is taken"),
            duration(
                "connect_timeout",
                "How long a connection may take; 10 s unless said",
            ),
        ]),
    ),
    (
        "sql",
        Shape::Object(&[
            service("The service of the database"),
            text("query", "The statement; parameters are $1, $2, …")
                .required()
                .eg("\"select state from orders where id = $1\""),
            list("params", "Values of the parameters", &Shape::Any).eg("[\"{{ order_id }}\"]"),
            port("5432 unless said"),
            text("user", "By default that of the service's environment"),
            text("password", "By default that of the service's environment"),
            text("database", "By default that of the service's environment"),
            either(
                "fails",
                "The statement must fail: true, or this SQLSTATE",
                &[
                    Shape::Flag,
                    Shape::Pattern("^[0-9A-Za-z]{5}$"),
                    Shape::Integer(0, 99999),
                ],
            )
            .eg("\"23505\""),
        ]),
    ),
    (
        "redis",
        Shape::Object(&[
            service("The service"),
            either(
                "command",
                "The words of a command, or one text without quotes",
                &[Shape::Word, WORDS],
            )
            .required()
            .eg("[\"GET\", \"product:{{ sku }}\"]"),
            port("6379 unless said"),
            text("user", "The user"),
            text("password", "By default that of the service's environment"),
            integer(
                "database",
                "The number of the database; 0 unless said",
                0,
                MANY,
            ),
        ]),
    ),
    (
        "amqp",
        Shape::Object(&[
            service("The service of the broker"),
            port("5672 unless said"),
            text("user", "By default that of the service's environment"),
            text("password", "By default that of the service's environment"),
            text("vhost", "By default that of the service's environment"),
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
                            text("content_type", "Its type"),
                            text("correlation_id", "What it answers"),
                            text("reply_to", "Where the answer goes"),
                            text("message_id", "Its identity"),
                            text("expiration", "When it is dropped, in milliseconds"),
                            text("type", "Its kind, in the words of the application"),
                            text("app_id", "Who sends it"),
                            integer("priority", "Its priority", 0, 255),
                            flag("persistent", "Whether it outlives the broker"),
                        ],
                    ),
                    flag("mandatory", "false: it need not reach a queue"),
                ],
            )
            .eg("{\"exchange\": \"shop\", \"routing_key\": \"order.paid\", \"json\": {\"id\": 7}}"),
            object(
                "get",
                "Takes messages of a queue",
                &[
                    text("queue", "The queue").required(),
                    integer("count", "How many; 0 = none may come", 0, 10_000),
                    duration("within", "How long they may take to come"),
                    flag("ack", "false: they go back to the queue"),
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
                    flag("exclusive", "It is only for this connection"),
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
        ]),
    ),
    (
        "exec",
        Shape::Object(&[
            service("The service in whose container it runs"),
            either(
                "cmd",
                "Program and arguments, or a line for sh",
                &[Shape::Text, WORDS],
            )
            .required()
            .eg("[\"worker\", \"drain\"]"),
            pairs("env", "Variables of the environment"),
            text("user", "As whom"),
            text("workdir", "Where"),
            text("stdin", "What it reads"),
            integer("replica", "Which container; 0 is the first", 0, MANY),
        ]),
    ),
    (
        "file",
        Shape::Object(&[
            service("The service in whose container it is"),
            text("path", "Its absolute path in the container")
                .required()
                .eg("\"/data/out.csv\""),
            integer("replica", "Which replica; the first unless said", 0, MANY),
            flag("follow", "Whether links are followed; yes unless `false`"),
        ]),
    ),
    (
        "mail",
        Shape::Object(&[
            word(
                "stub",
                "The host of the stub; may be left out where there is one",
            ),
            text("to", "Messages to this recipient").eg("\"ann@shop.example\""),
            text("from", "Messages from this sender"),
            text("subject_contains", "Messages with this text in the subject"),
            integer(
                "count",
                "So many must come, 0 = none; at least one unless said",
                0,
                MANY,
            ),
            word(
                "since",
                "Since a step began (its id), or the `stack`; by default the scenario",
            ),
            duration(
                "within",
                "How long they may take to come: 10 s unless said, with `count: 0` 1 s",
            ),
        ]),
    ),
    (
        "dns",
        Shape::Object(&[
            text("name", "The name")
                .required()
                .eg("api.payments.example"),
            word("from", "The service that asks").required(),
            choice(
                "type",
                "The type of record; A unless said",
                &["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"],
            ),
            integer(
                "replica",
                "Which replica asks; the first unless said",
                0,
                MANY,
            ),
        ]),
    ),
    (
        "logs",
        Shape::Object(&[
            service("The service that logs"),
            either("any", "Such a line must be there, or come", LINES)
                .eg("{\"where\": {\"event\": \"order.paid\"}}"),
            either("none", "No such line may be there", LINES).eg("\"ERROR\""),
            either("select", "Such lines are given to `expect`", LINES),
            word(
                "since",
                "Since a step began (its id), or the `stack`; by default the scenario",
            ),
            duration(
                "within",
                "How long a line may take to come; 5 s unless said",
            ),
        ]),
    ),
    (
        "wait",
        Shape::Object(&[
            either(
                "for",
                "What to wait for",
                &[
                    Shape::Object(&[
                        either(
                            "http",
                            "A response: a URL, or a request",
                            &[Shape::Text, Shape::Kind("http")],
                        ),
                        word("tcp", "A connection to host:port").eg("\"db:5432\""),
                        Arg {
                            name: "log",
                            help: "A line: a service, and which lines are meant",
                            shape: Shape::Loose(&[
                                service("The service that logs"),
                                word("since", "Since a step began (its id), or the `stack`"),
                                text("contains", "A line that contains this text"),
                                word(
                                    "matches",
                                    "A line in which this regular expression is found",
                                ),
                                map("where", "Fields of a line that is JSON", &Shape::Any),
                                choice("stream", "Only this stream", &["stdout", "stderr"]),
                            ]),
                            required: false,
                            example: "{\"service\": \"worker\", \"contains\": \"ready\"}",
                        },
                        Arg {
                            name: "sql",
                            help: "At least one row",
                            shape: Shape::Kind("sql"),
                            required: false,
                            example: "",
                        },
                        calc("until", "An expression on the result that must become true"),
                    ]),
                    Shape::Duration,
                ],
            )
            .required()
            .eg("{\"http\": \"http://gateway/health\"}"),
            duration("within", "How long at most; 30 s unless said"),
            duration("every", "From one look to the next; 100 ms unless said"),
        ]),
    ),
    (
        "snapshot",
        Shape::Object(&[
            text(
                "volume",
                "The volume; may be left out where there is only one",
            ),
            text("as", "The name under which it is remembered").required(),
        ]),
    ),
    (
        "restore",
        Shape::Either(&[
            Shape::Object(&[
                text(
                    "volume",
                    "The volume; may be left out where there is only one",
                ),
                text(
                    "to",
                    "The name under which it was remembered; by default the start",
                ),
            ]),
            Shape::Null,
        ]),
    ),
];

/// What a kind takes; nothing where its entry is missing.
pub fn args(kind: &str) -> Option<Shape> {
    CATALOG
        .iter()
        .find(|(name, _)| *name == kind)
        .map(|(_, shape)| *shape)
}

/// All kinds, for the schema of scenario files.
pub fn docs() -> Vec<KindDoc> {
    KINDS
        .iter()
        .map(|k| KindDoc {
            name: k.name,
            help: k.help,
            example: k.example,
            fields: k.fields,
            args: args(k.name),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prodmirror_model::diag::Problem;
    use prodmirror_model::source::Span;
    use prodmirror_model::yaml::Node;
    use serde_json::{Map, Value, json};

    use super::*;

    /// A key that nobody has, and that is near to nothing.
    const NOBODY: &str = "qqqqqqqqqqqqqqqqqqqq";

    fn problems(kind: &super::super::Kind, args: &Value) -> Vec<Problem> {
        let node = Node::from_json(args, &Span::generated());
        (kind.compile)(&node).err().unwrap_or_default()
    }

    /// The keys that a kind's reader knows where it found [`NOBODY`].
    fn known(problems: &[Problem]) -> Result<BTreeSet<String>, String> {
        let named = problems.iter().find(|p| p.message.contains(NOBODY));
        let help = named.and_then(|p| p.help.as_deref());
        let names = help.and_then(|h| h.strip_prefix("known here: "));
        match names {
            Some(names) => Ok(names.split(", ").map(str::to_owned).collect()),
            None => Err(format!("{problems:?}")),
        }
    }

    /// The keys that must be there, each with a value that fits, and one more.
    fn beside(keys: &[Arg], name: &str, value: Value) -> Value {
        let mut all = Map::new();
        all.insert(name.to_owned(), value);
        for a in keys.iter().filter(|a| a.required) {
            all.entry(a.name).or_insert_with(|| a.sample());
        }
        Value::Object(all)
    }

    fn wrap(shape: Shape, inner: Value) -> Value {
        match shape {
            Shape::List(of) => json!([wrap(*of, inner)]),
            Shape::Map(of) => json!({ "x": wrap(*of, inner) }),
            Shape::Either(of) => {
                let with = of.iter().find(|s| s.keys().is_some());
                with.map_or(Value::Null, |s| wrap(*s, inner))
            }
            _ => inner,
        }
    }

    /// Compares the keys of a mapping, and of the mappings in it.
    fn walk(
        kind: &super::super::Kind,
        keys: &'static [Arg],
        path: &str,
        document: &dyn Fn(Value) -> Value,
        wrong: &mut Vec<String>,
    ) {
        let args = document(beside(keys, NOBODY, json!(1)));
        let listed: BTreeSet<String> = keys.iter().map(|a| a.name.to_owned()).collect();
        match known(&problems(kind, &args)) {
            Ok(found) if found == listed => {}
            Ok(found) => wrong.push(format!(
                "{path}: the reader knows {found:?}, the table {listed:?}"
            )),
            Err(said) => wrong.push(format!("{path}: nobody minds an unknown key: {said}")),
        }
        for a in keys {
            if let Some(inner) = a.shape.keys() {
                let deeper = |v: Value| document(beside(keys, a.name, wrap(a.shape, v)));
                walk(kind, inner, &format!("{path}.{}", a.name), &deeper, wrong);
            }
        }
    }

    #[test]
    fn every_kind_is_here_with_the_keys_that_it_reads() {
        let mut wrong = Vec::new();
        for kind in KINDS {
            match args(kind.name) {
                Some(shape) => match shape.keys() {
                    Some(keys) => walk(kind, keys, kind.name, &|v| v, &mut wrong),
                    None => wrong.push(format!("{}: its shape has no keys", kind.name)),
                },
                None => {
                    let keys = known(&problems(kind, &json!({ NOBODY: 1 })));
                    let lines: Vec<String> = keys
                        .unwrap_or_default()
                        .iter()
                        .map(|k| format!("        text(\"{k}\", \"…\"),\n"))
                        .collect();
                    wrong.push(format!(
                        "`{}` is missing in CATALOG of catalog.rs:\n(\n    \"{}\",\n    Shape::Object(&[\n{}    ]),\n),",
                        kind.name,
                        kind.name,
                        lines.concat()
                    ));
                }
            }
        }
        for (name, _) in CATALOG {
            if super::super::kind(name).is_none() {
                wrong.push(format!("there is no kind `{name}`"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn examples_are_valid_and_compile() {
        let schema = prodmirror_model::schema::scenario(&docs());
        for kind in KINDS {
            let text = format!("scenario: a\nsteps:\n  - {}\n", kind.example);
            let file = prodmirror_model::source::SourceFile::new("e.yaml", text);
            let node = prodmirror_model::yaml::parse_one(&file).unwrap();
            let step = node.get("steps").unwrap().as_seq().unwrap()[0].get(kind.name);
            let args = step.unwrap();
            assert!((kind.compile)(args).is_ok(), "{}", kind.example);
            let own = &schema["$defs"][format!("kind.{}", kind.name)];
            assert!(own["description"].is_string(), "{}", kind.name);
        }
    }
}
