//! `logs`, `wait` and `metrics`.

use prodmirror_model::schema::{
    Shape, any, arg, calc, choice, duration, either, map, pairs, text, word,
};

use super::{Entry, FIELDS, field, service};

/// Which lines of a log are meant.
const LINES: &[Shape] = &[
    Shape::Text,
    Shape::Object(&[
        text("contains", "Lines that contain this text"),
        word("matches", "Lines in which this regular expression is found"),
        map("where", FIELDS, &Shape::Any),
        choice("stream", "Only this stream", &["stdout", "stderr"]),
    ]),
];

pub(super) static LOGS: Entry = Entry {
    kind: "logs",
    shape: Shape::Object(&[
        service("The service that logs"),
        either("any", "Such a line must be there, or come", LINES)
            .eg("{\"where\": {\"event\": \"order.paid\"}}"),
        either("none", "No such line may be there", LINES).eg("\"ERROR\""),
        either("select", "Such lines are given to `expect`", LINES),
        word("since", "Since a step began (its id), or the `stack`").or("the scenario"),
        duration("within", "How long a line may take to come").or("5 s"),
    ]),
    notes: r#"
At least one of `any`, `none` and `select`. Lines are meant by a text that they contain, or by `contains`, `matches`, `stream`, and
`where`: fields of a line that is JSON (`http.status` for one inside of another), each a value or predicates.
"#,
    results: &[
        ("lines", "The lines that are meant"),
        ("entries", "The JSON of those that are JSON"),
        ("count", "How many lines are meant"),
        field::DURATION,
    ],
    examples: &[
        ("No errors", "- logs: { service: orders, none: ERROR }"),
        (
            "A line that must come",
            r#"- logs: { service: orders, any: { where: { event: order.paid, order_id: "{{ order_id }}", took: { lt: 500 } } }, within: 10s }"#,
        ),
        (
            "Lines to look at, since a step began",
            r#"- logs: { service: orders, select: { matches: 'took \d+ms', stream: stdout }, since: order }
  expect: count == 1"#,
        ),
    ],
    experimental: None,
};

pub(super) static WAIT: Entry = Entry {
    kind: "wait",
    shape: Shape::Object(&[
        either(
            "for",
            "What to wait for",
            &[
                Shape::One(
                    &[
                        either(
                            "http",
                            "A response: a URL, or a request",
                            &[Shape::Text, Shape::Kind("http")],
                        ),
                        word("tcp", "A connection to host:port").eg("\"db:5432\""),
                        arg(
                            "log",
                            "A line: a service, and which lines are meant",
                            Shape::Loose(&[
                                service("The service that logs"),
                                word("since", "Since a step began (its id), or the `stack`")
                                    .or("the scenario"),
                                text("contains", "A line that contains this text"),
                                word(
                                    "matches",
                                    "A line in which this regular expression is found",
                                ),
                                map("where", FIELDS, &Shape::Any),
                                choice("stream", "Only this stream", &["stdout", "stderr"]),
                            ]),
                        )
                        .eg("{\"service\": \"worker\", \"contains\": \"ready\"}"),
                        arg("sql", "At least one row", Shape::Kind("sql")),
                        calc("until", "What must become true of the result")
                            .or("`status < 400` of `http`, `size(rows) > 0` of `sql`"),
                    ],
                    &["http", "tcp", "log", "sql"],
                ),
                Shape::Duration,
            ],
        )
        .required()
        .eg("{\"http\": \"http://gateway/health\"}"),
        duration("within", "How long at most").or("30 s"),
        duration("every", "From one look to the next").or("100 ms"),
    ]),
    notes: "\nA fixed `for: 200ms` works and is warned of.\n",
    results: &[
        ("attempts", "How often it was looked"),
        ("duration", "How long it took until it was so"),
    ],
    examples: &[
        (
            "A service that answers, and one that says how far it is",
            r#"- wait: { for: { http: "http://gateway/health" }, within: 30s, every: 200ms }
- wait: { for: { http: { url: "http://gateway/stats" }, until: json.ready > 2 } }"#,
        ),
        (
            "A connection, a row, a line",
            r#"- wait: { for: { tcp: "db:5432" } }
- wait: { for: { sql: { service: db, query: "select 1 from orders where state = 'shipped'" } } }
- wait: { for: { log: { service: worker, contains: ready } } }"#,
        ),
    ],
    experimental: None,
};

pub(super) static METRICS: Entry = Entry {
    kind: "metrics",
    shape: Shape::Object(&[
        text("url", "Where the metrics are")
            .required()
            .eg("\"http://gateway/metrics\""),
        arg(
            "name",
            "Only samples of this name",
            Shape::Pattern("^[A-Za-z0-9_:]*$"),
        )
        .eg("\"http_requests_total\""),
        pairs("where", "Only samples with these labels").eg("{\"status\": \"500\"}"),
        any("headers", "Headers of the request").eg("{\"Accept\": \"text/plain\"}"),
    ]),
    notes: r#"
At most 100000 samples are read. A page that does not answer with 200, or is not in the text format, is no answer. There is no PromQL: ask
a Prometheus of the stack with [`http`](http.md) (`/api/v1/query`).
"#,
    results: &[
        (
            "value",
            "The sum of the samples that are meant; null where there are none",
        ),
        ("count", "How many samples are meant"),
        ("samples", "Each with `name`, `labels`, `value`"),
        ("names", "All names of the page"),
        field::DURATION,
    ],
    examples: &[
        (
            "No request may have failed",
            r#"- metrics: { url: "http://gateway/metrics", name: http_requests_total, where: { status: "500" } }
  expect: value == null || value == 0"#,
        ),
        (
            "A counter grows by what was done",
            r#"- metrics: { url: "http://orders:8080/metrics", name: orders_total }
  capture: { before: value }
- http: { method: POST, url: "http://gateway/orders", json: { sku: "{{ sku }}", qty: 1 } }
- metrics: { url: "http://orders:8080/metrics", name: orders_total }
  expect: value == before + 1.0"#,
        ),
    ],
    experimental: None,
};
