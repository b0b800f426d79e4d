//! The schema of `mirror.yaml`.

use serde_json::{Map, Value, json};

use super::DIALECT;
use super::shape::{
    Arg, Shape, any, arg, choice, definitions, duration, either, flag, integer, list, map, object,
    of_keys, text, word,
};
use crate::snapshot::Mask;

/// A file, or several.
const FILES: &[Shape] = &[Shape::Word, Shape::List(&Shape::Word)];

/// Where the value of a secret comes from.
const SECRET: Shape = Shape::Object(&[
    text("stub", "A stand-in that is no secret of production"),
    word("env", "A variable of the shell"),
    word(
        "file",
        "A file of the project; its last newline is not part of the value",
    ),
]);

const RESPOND: &[Arg] = &[
    integer("status", "The status; 200 unless said", 100, 599),
    map("headers", "Headers", &Shape::Text),
    any("json", "A JSON body"),
    text("body", "A text body"),
    duration("delay", "Time before the answer").eg("\"20ms\""),
    flag(
        "template",
        "Fills {{method}} {{path}} {{match.1}} {{query.NAME}} {{header.NAME}} {{json./pointer}} {{counter}} {{now}}",
    ),
];

const STUB: &[Arg] = &[
    flag(
        "tls",
        "Whether it speaks TLS; by default as the port suggests",
    ),
    list(
        "routes",
        "Answers; the first that fits answers",
        &Shape::Object(&[
            text("method", "The method; absent or * = any"),
            text(
                "path",
                "The exact path, a prefix (/v1/*), or a regular expression (~^/v1/(\\d+)$)",
            )
            .required()
            .eg("\"/v1/charges\""),
            object(
                "when",
                "Conditions on the request",
                &[
                    map(
                        "header",
                        "Headers that must have these values",
                        &Shape::Text,
                    ),
                    map(
                        "query",
                        "Query parameters that must have these values",
                        &Shape::Text,
                    ),
                    map(
                        "json",
                        "JSON pointers into the body, each with its value",
                        &Shape::Any,
                    ),
                ],
            ),
            object("respond", "The answer", RESPOND),
        ]),
    ),
    object("default", "The answer when no route fits", RESPOND),
    object(
        "raw",
        "A stub below HTTP",
        &[
            choice(
                "kind",
                "What it does with a connection",
                &["close", "echo", "sink", "bytes"],
            )
            .required(),
            text("text", "What `bytes` sends"),
            word("base64", "What `bytes` sends, in base64"),
        ],
    ),
    either(
        "mail",
        "A stub that takes mail and keeps it for `mail` steps",
        &[
            Shape::Flag,
            Shape::Object(&[flag(
                "starttls",
                "Whether TLS begins when the client asks for it; by default on port 587",
            )]),
        ],
    ),
    integer(
        "keep",
        "Requests that are kept for questions; 200 unless said",
        0,
        u32::MAX as i64,
    ),
];

/// A difference, a rule, or an object, with a reason.
const BECAUSE: Arg = text("because", "Why");

const PERMITS: Shape = Shape::Either(&[
    Shape::Word,
    Shape::List(&Shape::Either(&[
        Shape::Word,
        Shape::Object(&[word("rule", "The rule, or rule=value").required(), BECAUSE]),
    ])),
    Shape::Map(&Shape::Either(&[Shape::Text, Shape::Null])),
    Shape::Null,
]);

const MASK: Shape = Shape::Either(&[
    Shape::Choice(&Mask::WORDS),
    Shape::Null,
    Shape::Loose(&[
        text("value", "Always this text"),
        text("shift", "A date, moved by at most so long").eg("\"30d\""),
        word("by", "The column by which it is moved"),
        map(
            "json",
            "Parts of a JSON value, each with a mask",
            &Shape::Any,
        ),
    ]),
]);

const SNAPSHOT: Shape = Shape::Object(&[
    word("dump", "Made from a dump that the service's own tools load"),
    word(
        "script",
        "Made by a script that the service's own client runs",
    ),
    word("directory", "Made from a directory"),
    word("tar", "Made from a tar archive"),
    word("volume", "Made from a volume of the engine"),
    word("mirror", "Made from a volume of the mirror that is up"),
    word("snapshot", "Made from another snapshot"),
    word(
        "service",
        "The service whose image and configuration load and serve it",
    ),
    word(
        "database",
        "The database; by default the one that the service makes",
    ),
    map(
        "mask",
        "Columns whose values are replaced, as TABLE.COLUMN",
        &MASK,
    )
    .eg("{\"customers.email\": \"email\"}"),
    flag(
        "public",
        "It is refused while anything in it looks personal",
    ),
    object(
        "subset",
        "The rows that are kept, whole by foreign keys",
        &[
            word("table", "The table that decides").required(),
            text("rows", "Which of its rows: an SQL condition").required(),
        ],
    )
    .eg("{\"table\": \"customers\", \"rows\": \"id % 100 = 0\"}"),
    map(
        "grow",
        "How many rows tables grow to",
        &Shape::Either(&[Shape::Integer(0, i64::MAX), Shape::Pattern("^[0-9_]+$")]),
    ),
    word(
        "grow_like",
        "The snapshot whose manifest says how many rows tables grow to",
    ),
]);

/// The sections of `mirror.yaml`.
pub const KEYS: &[Arg] = &[
    either(
        "project",
        "The project's name; by default that of production's project",
        &[Shape::Pattern("^[a-z0-9][a-z0-9_-]*$")],
    )
    .eg("\"shop\""),
    either(
        "production",
        "What production runs from: files or directories, merged in this order",
        &[
            Shape::Word,
            SOURCE,
            Shape::List(&Shape::Either(&[Shape::Word, SOURCE])),
        ],
    )
    .required()
    .eg("[\"production/compose.yaml\"]"),
    either(
        "env_files",
        "Files of variables for production's files; a later one wins",
        FILES,
    )
    .eg("[\"production/.env\"]"),
    either("profiles", "Profiles that are active", FILES),
    object(
        "env",
        "Variables of the shell",
        &[either(
            "pass",
            "The variables that production's files may see",
            FILES,
        )],
    )
    .eg("{\"pass\": [\"CI_COMMIT_SHA\"]}"),
    object(
        "images",
        "Images by which the mirror differs from production",
        &[
            map(
                "under_test",
                "The change that is tested, by service; all else stays production's",
                &Shape::Word,
            )
            .eg("{\"orders\": \"shop/orders:dev\"}"),
            map(
                "rewrite",
                "Prefixes of references; the longest that fits wins",
                &Shape::Word,
            ),
        ],
    ),
    map(
        "data",
        "What the volumes hold at the start",
        &Shape::Object(&[
            word("snapshot", "A copy of this snapshot"),
            flag("empty", "Nothing, on purpose"),
        ]),
    )
    .eg("{\"orders-db\": {\"snapshot\": \"orders-2026-11\"}}"),
    map(
        "snapshots",
        "How snapshots are made, masked, cut and grown",
        &SNAPSHOT,
    ),
    arg(
        "mask_key",
        "The key of masks; by default drawn once, in .prodmirror/mask.key",
        SECRET,
    )
    .eg("{\"env\": \"MASK_KEY\"}"),
    map(
        "secrets",
        "Where the values of secrets come from, by variable or by name of a Compose secret",
        &SECRET,
    )
    .eg("{\"PAYMENT_KEY\": {\"stub\": \"sk_test_1\"}}"),
    map(
        "egress",
        "Traffic that leaves the mirror, by host:port, and who answers it",
        &Shape::Object(&[
            either(
                "stub",
                "A stub answers: its file, or the stub itself",
                &[Shape::Word, Shape::Object(STUB)],
            ),
            flag("allow", "The traffic really leaves the mirror"),
            flag("deny", "Known, and it fails at once"),
            flag("tls", "Whether the stub speaks TLS"),
            BECAUSE,
        ]),
    )
    .eg("{\"api.payments.example:443\": {\"stub\": \"stubs/payments.yaml\"}}"),
    object(
        "flags",
        "Feature flags",
        &[
            word("file", "The file that holds production's flags")
                .eg("\"production/flags.json\""),
            choice(
                "format",
                "Its format; found out unless said",
                &["flagd", "env", "launchdarkly", "unleash"],
            ),
            word("environment", "Unleash's environment that is production's")
                .eg("\"production\""),
            word("prefix", "Flags are variables of services whose names begin so")
                .eg("\"FEATURE_\""),
            list("names", "Flags are these variables of services", &Shape::Word),
            list("services", "The services that read them; all to which they are given unless said", &Shape::Word),
            either(
                "matrix",
                "The flags that every scenario is run with both ways: all pairs, not all combinations",
                &[
                    Shape::Choice(&["changed", "all"]),
                    Shape::List(&Shape::Word),
                    Shape::Map(&Shape::Either(&[
                        Shape::Flag,
                        Shape::Word,
                        Shape::Number(i64::MIN),
                        Shape::List(&Shape::Any),
                    ])),
                ],
            )
            .eg("[\"checkout_v2\"]"),
            word("since", "The revision that `matrix: changed` compares with; HEAD unless said")
                .eg("\"origin/main\""),
        ],
    ),
    object(
        "fidelity",
        "When differences from production close the gate",
        &[
            object(
                "allow",
                "How many differences of each severity are let pass; blockers: none unless said",
                &[
                    integer("blocker", "Blockers", 0, u32::MAX as i64),
                    integer("high", "High", 0, u32::MAX as i64),
                    integer("medium", "Medium", 0, u32::MAX as i64),
                    integer("low", "Low", 0, u32::MAX as i64),
                ],
            ),
            list(
                "accept",
                "Differences that the project knows and accepts",
                &Shape::Object(&[
                    word(
                        "on",
                        "The object (db, service:db, volume:orders-db); absent = any",
                    ),
                    word("field", "The field, or a field above it").required(),
                    text("because", "Why").required(),
                ]),
            ),
        ],
    ),
    object(
        "audit",
        "What audits leave out, and what they are told about production's hosts",
        &[
            list(
                "off",
                "Rules that are switched off, each with the reason",
                &Shape::Object(&[
                    word("rule", "The rule").required(),
                    word("on", "The object; absent = any"),
                    word("field", "The field, or a field above it; absent = any"),
                    text("because", "Why").required(),
                ]),
            ),
            word("platform", "The platform of production's hosts").eg("\"linux/amd64\""),
        ],
    ),
    object(
        "allow",
        "What is allowed by name although it leads out of the mirror",
        &[
            map("services", "By service", &PERMITS),
            map("networks", "By network", &PERMITS),
            map("volumes", "By volume", &PERMITS),
            map("configs", "By config", &PERMITS),
            map("secrets", "By secret", &PERMITS),
        ],
    ),
    super::shape::pairs("supply", "What production's format cannot hold"),
    either("template", "The project's stack template", FILES).eg("\"templates/stack.yaml.tera\""),
];

const SOURCE: Shape = Shape::Object(&[
    word("path", "A file or a directory").required(),
    word(
        "format",
        "The format that it has, when it is not recognised: compose, swarm, ecs, kubernetes",
    ),
]);

/// The schema of `mirror.yaml`.
pub fn mirror() -> Value {
    let mut schema = of_keys(KEYS, true);
    // A section in which nothing stands is empty.
    if let Some(sections) = schema["properties"].as_object_mut() {
        for (name, section) in sections.iter_mut() {
            if name != "production" && section["type"] == "object" {
                section["type"] = json!(["object", "null"]);
            }
        }
    }
    let mut out = Map::new();
    out.insert("$schema".into(), json!(DIALECT));
    out.insert("title".into(), json!("prodmirror project (mirror.yaml)"));
    out.insert(
        "description".into(),
        json!("Which files are production, and how it becomes a local mirror"),
    );
    if let Value::Object(o) = schema {
        out.extend(o);
    }
    let mut defs = definitions();
    defs.remove("expression");
    out.insert("$defs".into(), Value::Object(defs));
    Value::Object(out)
}
