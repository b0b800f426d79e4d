//! `--kind`: a first step of a kind, for the services that the project has.

use prodmirror_engine::step::{self, KINDS, catalog};
use prodmirror_model::diag::nearest;
use prodmirror_model::template::tags;

use super::host::Hosts;

/// Words in images by which the service of a kind is known.
const IMAGES: [(&str, &[&str]); 8] = [
    (
        "sql",
        &[
            "postgres",
            "mysql",
            "mariadb",
            "sqlite",
            "timescale",
            "postgis",
        ],
    ),
    ("redis", &["redis", "valkey", "keydb", "dragonfly"]),
    ("amqp", &["rabbitmq", "lavinmq"]),
    ("nats", &["nats"]),
    ("mqtt", &["mosquitto", "emqx", "mqtt", "hivemq"]),
    ("grpc", &["grpc"]),
    ("exec", &[]),
    ("logs", &[]),
];

/// Whether an image is one that steps of a kind are for.
pub fn runs(kind: &str, image: &str) -> bool {
    let mut kinds = IMAGES.iter().filter(|(k, _)| *k == kind);
    kinds.any(|(_, words)| words.iter().any(|w| image.contains(w)))
}

/// The text of a scenario with one step of a kind.
///
/// # Errors
/// There is no such kind.
pub fn text(kind: &str, name: Option<&str>, hosts: &Hosts) -> Result<(String, String), String> {
    let flow = [
        (
            "parallel",
            "runs branches at the same time",
            "parallel:\n  - http: { url: \"http://gateway/\" }\n  - http: { url: \"http://gateway/\" }",
        ),
        (
            "race",
            "runs its branches at the same time, over and over",
            "race:\n  runs: 10\n  branches:\n    - http: { url: \"http://gateway/\" }\n    - http: { url: \"http://gateway/\" }",
        ),
    ];
    if let Some(why) = catalog::experimental(kind) {
        return Err(format!(
            "`{kind}` is experimental ({why}), so no file is started with it"
        ));
    }
    let (help, example, usual, fields) = match step::kind(kind) {
        Some(k) => (k.help, k.example, k.usual, k.fields.join(", ")),
        None => match flow.iter().find(|(n, ..)| *n == kind) {
            Some((_, help, example)) => (*help, *example, None, "branches, duration".to_owned()),
            None => {
                let all: Vec<&str> = KINDS
                    .iter()
                    .map(|k| k.name)
                    .filter(|k| catalog::experimental(k).is_none())
                    .chain(["parallel", "race"])
                    .collect();
                return Err(match nearest(kind, all.iter().copied()) {
                    Some(n) => format!("there is no kind `{kind}`; did you mean `{n}`?"),
                    None => format!("there is no kind `{kind}`; there are: {}", all.join(", ")),
                });
            }
        },
    };
    let example = match kind {
        "http" => format!("http: {{ url: \"{}/\" }}", hosts.front()),
        _ => fitted(kind, example, hosts),
    };
    let name = name.map_or_else(|| format!("a first scenario with `{kind}`"), str::to_owned);
    let mut out = String::from(
        "# A scenario says what users may expect. Names, URLs and ports are production's own.\n\n",
    );
    out.push_str(&format!("scenario: {}\n", super::emit::plain(&name)));
    let vars = names(&example);
    if !vars.is_empty() {
        out.push_str("# Change these to what the step is about.\nvars:\n");
        for v in vars {
            out.push_str(&format!("  {v}: x\n"));
        }
    }
    out.push_str(&format!("steps:\n  # `{kind}` {help}.\n"));
    for (i, line) in example.trim().lines().enumerate() {
        let lead = if i == 0 { "  - " } else { "    " };
        out.push_str(&format!("{lead}{line}\n"));
    }
    if let Some(usual) = usual {
        out.push_str(&format!("    expect:\n      - {usual}\n"));
        out.push_str(&format!(
            "      # Say what users rely on. Fields of the result: {fields}.\n"
        ));
    } else {
        out.push_str(&format!(
            "    # Add `expect:` with what must hold. Fields of the result: {fields}.\n"
        ));
    }
    Ok((name, out))
}

/// The example with services that the project has.
fn fitted(kind: &str, example: &str, hosts: &Hosts) -> String {
    let front = hosts.front();
    let mut text = example
        .replace("http://gateway", front)
        .replace("ws://gateway", &front.replacen("http", "ws", 1));
    if hosts.services.is_empty() {
        return text;
    }
    let words = IMAGES
        .iter()
        .find(|(k, _)| *k == kind)
        .map_or(&[][..], |(_, w)| w);
    let by_image = hosts
        .services
        .iter()
        .find(|(_, image)| words.iter().any(|w| image.contains(w)));
    let Some((service, _)) = by_image.or_else(|| hosts.services.first()) else {
        return text;
    };
    let key = ["service: ", "beside: ", "host: ", "from: "]
        .into_iter()
        .find(|k| text.contains(k));
    if let Some((key, at)) = key.and_then(|k| Some((k, text.find(k)?))) {
        let from = at + key.len();
        let rest = &text[from..];
        let end = rest.find([',', ' ', '}', '\n']).unwrap_or(rest.len());
        // Some kinds name the port, too: `service: "orders:50051"`.
        let named = rest[..end].trim_matches('"');
        let (named, port) = match named.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (named, None),
        };
        if !hosts.services.iter().any(|(n, _)| n == named) || by_image.is_some() {
            let service = match port {
                Some(port) => format!("\"{service}:{port}\""),
                None => service.clone(),
            };
            text = format!("{}{service}{}", &text[..from], &rest[end..]);
        }
    }
    text
}

/// Names that templates of a text use and that nothing gives.
fn names(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for tag in tags(text).unwrap_or_default() {
        let inner = &text[tag.inner];
        let end = inner
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(inner.len());
        let name = &inner[..end];
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let known = prodmirror_model::template::is_reserved(name);
        if tag.kind == '{' && plain && !known && !all.iter().any(|n| n == name) {
            all.push(name.to_owned());
        }
    }
    all
}
