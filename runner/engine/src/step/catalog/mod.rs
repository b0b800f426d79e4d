//! What is told of each kind of step: its keys, the fields of its result, examples. For the
//! schema of scenario files, for the pages of the reference, and for people.
//!
//! One entry for each kind, in the file of its theme. A test asks each kind's own reader
//! which keys it knows, and fails where the table says otherwise, or where a kind is missing;
//! it then prints the keys.

mod data;
mod http;
mod inside;
mod messages;
mod network;
mod pages;
mod queues;
mod services;
mod stores;
mod watch;

#[cfg(test)]
mod tests;

use prodmirror_model::schema::{Arg, KindDoc, Shape, any, integer, object, text, word};

pub use self::pages::pages;
use super::{KINDS, Kind};

/// Numbers that fit into 32 bits.
const MANY: i64 = u32::MAX as i64;
/// Messages that a step may wait for.
const MOST_MESSAGES: i64 = 10_000;
/// Where credentials come from.
const OF_ENVIRONMENT: &str = "that of the service's environment";
/// What `verify` is for.
const VERIFY: &str = "false: any certificate is taken";
/// What `where` is for.
const FIELDS: &str = "Fields of its JSON, each a value or predicates";

/// A port of a service.
const fn port(usual: &'static str) -> Arg {
    integer("port", "The port", 0, 65535).or(usual)
}

/// The service that a step is about.
const fn service(help: &'static str) -> Arg {
    word("service", help).required()
}

/// Authorities beside the mirror's.
const CA: Arg = word(
    "ca",
    "A file of authorities that are trusted beside the mirror's own (PEM)",
);
/// A certificate that is shown.
const CLIENT_CERT: Arg = object(
    "client_cert",
    "Shows a certificate: files beside the scenario's (PEM)",
    &[
        word("cert", "The certificate, with its chain").required(),
        word("key", "Its key").required(),
    ],
);

/// Words of a command.
const WORDS: Shape = Shape::List(&Shape::Text);

/// What is sent: a text, or a mapping with one key.
const PAYLOAD: &[Shape] = &[Shape::Text, BODY];
/// One such, or several.
const PAYLOADS: &[Shape] = &[Shape::Text, BODY, Shape::List(&Shape::Either(PAYLOAD))];
const BODY: Shape = Shape::One(
    &[
        text("text", "A text"),
        any("json", "A value, as JSON"),
        text("base64", "Bytes as base64"),
        text("hex", "Bytes as hexadecimal digits, with blanks or without"),
    ],
    &["text", "json", "base64", "hex"],
);

/// Fields that many results have.
mod field {
    /// How long it took.
    pub const DURATION: (&str, &str) = ("duration", "How long it took");
}

/// What is told of a kind.
struct Entry {
    /// Its name.
    kind: &'static str,
    /// What it takes.
    shape: Shape,
    /// What its keys do not say, for its page.
    notes: &'static str,
    /// The fields of its result, each with one line of help.
    results: &'static [(&'static str, &'static str)],
    /// Common uses: a title, and steps.
    examples: &'static [(&'static str, &'static str)],
    /// Why it is not to be relied on yet: no real server was there to try it with.
    experimental: Option<&'static str>,
}

/// What is told of each kind. A tool that is built without some kinds does not use all.
static CATALOG: &[&Entry] = &[
    &http::HTTP,
    &data::SQL,
    &data::REDIS,
    &queues::AMQP,
    &network::GRPC,
    &queues::KAFKA,
    &stores::MONGO,
    &stores::S3,
    &network::TCP,
    &network::WEBSOCKET,
    &messages::NATS,
    &messages::MQTT,
    &services::EXEC,
    &watch::LOGS,
    &watch::WAIT,
    &watch::METRICS,
    &services::CONTAINER,
    &services::SHELL,
    &services::PROCESS,
    &services::RESTART,
    &services::SCALE,
    &inside::FILE,
    &inside::MAIL,
    &inside::DNS,
    &stores::SNAPSHOT,
    &stores::RESTORE,
];

fn entry(kind: &str) -> Option<&'static Entry> {
    CATALOG.iter().copied().find(|e| e.kind == kind)
}

/// What a kind takes; nothing where its entry is missing.
pub fn args(kind: &str) -> Option<Shape> {
    entry(kind).map(|e| e.shape)
}

/// Why a kind is not to be relied on yet, where that is so.
pub fn experimental(kind: &str) -> Option<&'static str> {
    entry(kind).and_then(|e| e.experimental)
}

/// All kinds, for the schema of scenario files.
pub fn docs() -> Vec<KindDoc> {
    let doc = |k: &&Kind| {
        let e = entry(k.name);
        KindDoc {
            name: k.name,
            help: k.help,
            example: k.example,
            fields: e.map_or(&[][..], |e| e.results),
            experimental: e.and_then(|e| e.experimental),
            args: e.map(|e| e.shape),
        }
    };
    KINDS.iter().map(doc).collect()
}
