//! Stubs: what answers in the place of an external service.
//!
//! The format is the agent's stub mode in the words of our other files: durations with
//! units, checked places, no certificates (each run makes its own).

mod check;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use self::check::{check, delay_of};
use super::decode::{keep, known_keys, mapping, under, value};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::yaml::{Node, Spanned, from_node};

/// How many requests a stub keeps for later questions, unless it says so itself.
pub const KEEP_DEFAULT: u32 = 200;

/// The longest delay of an answer.
pub const MAX_DELAY: Duration = Duration::from_secs(3600);

/// Ports on which a stub speaks TLS unless it says otherwise.
pub(super) const TLS_PORTS: [u16; 6] = [443, 465, 636, 993, 995, 8443];

/// What a stub answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Stub {
    /// Whether it speaks TLS; absent = as the port suggests.
    pub tls: Option<bool>,
    /// Answers, tried in order.
    pub routes: Vec<Route>,
    /// The answer when no route fits.
    pub default: Option<Respond>,
    /// A stub that does not speak HTTP.
    pub raw: Option<Raw>,
    /// A stub that takes mail.
    pub mail: Option<Mail>,
    /// How many requests are kept for `GET /__prodmirror/requests`.
    pub keep: u32,
}

/// One route of an HTTP stub.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct Route {
    /// Method; absent or `*` = any.
    #[serde(default)]
    pub method: Option<Spanned<String>>,
    /// Exact path, a prefix (`/v1/*`), or a regular expression (`~^/v1/(\d+)$`).
    pub path: Spanned<String>,
    /// What else must hold of the request.
    #[serde(default)]
    pub when: When,
    /// The answer.
    #[serde(default)]
    pub respond: Respond,
}

/// Conditions on a request.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct When {
    /// Headers that must have these values.
    #[serde(default)]
    pub header: BTreeMap<String, String>,
    /// Query parameters that must have these values.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// JSON pointers into the body, each with the value that must stand there.
    #[serde(default)]
    pub json: BTreeMap<String, Node>,
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct Respond {
    /// Status; absent = 200.
    #[serde(default)]
    pub status: Option<Spanned<u16>>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, Spanned<String>>,
    /// A JSON body.
    #[serde(default)]
    pub json: Option<Node>,
    /// A text body.
    #[serde(default)]
    pub body: Option<Spanned<String>>,
    /// Time before the answer, such as `20ms`.
    #[serde(default)]
    pub delay: Option<Spanned<String>>,
    /// Whether `{{…}}` in the body is filled from the request.
    #[serde(default)]
    pub template: bool,
}

/// A stub that takes mail and keeps it for `mail` steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct Mail {
    /// Whether TLS begins when the client asks for it; absent = on port 587.
    #[serde(default)]
    pub starttls: Option<bool>,
}

/// A stub below HTTP.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct Raw {
    /// What it does with a connection.
    pub kind: RawKind,
    /// Text that `bytes` sends.
    #[serde(default)]
    pub text: Option<String>,
    /// Bytes that `bytes` sends, in base64.
    #[serde(default)]
    pub base64: Option<Spanned<String>>,
}

/// What a raw stub does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawKind {
    /// Accepts and closes.
    Close,
    /// Sends back what it reads.
    Echo,
    /// Reads and never answers.
    Sink,
    /// Sends a text, then reads until the peer closes.
    Bytes,
}

impl RawKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::Echo => "echo",
            Self::Sink => "sink",
            Self::Bytes => "bytes",
        }
    }
}

/// Reads a stub from its file or from its place in `mirror.yaml`.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Stub> {
    let before = problems.0.len();
    let Some(map) = mapping(node, "a stub", problems) else {
        if node.is_null() {
            problems.push(
                Problem::at(ProblemKind::Missing, &node.span, "the stub is empty")
                    .help("give it `routes`, a `default` answer, or `raw`"),
            );
        }
        return None;
    };
    let known = ["tls", "routes", "default", "raw", "mail", "keep"];
    known_keys(map, &known, "a stub", problems);
    let mut routes: Vec<Route> = Vec::new();
    if let Some(n) = map.get("routes") {
        match n.as_seq() {
            Some(items) => routes.extend(items.iter().enumerate().filter_map(|(i, item)| {
                let r = from_node(item).map_err(|p| under(p, &format!("routes[{i}]")));
                keep(r, problems)
            })),
            None => problems.push(Problem::at(
                ProblemKind::WrongType,
                &n.span,
                format!("`routes` is a list, not {}", n.kind()),
            )),
        }
    }
    let stub = Stub {
        tls: value(map, "tls", problems),
        routes,
        default: value(map, "default", problems),
        raw: value(map, "raw", problems),
        mail: match map.get("mail") {
            Some(n) if n.as_bool().is_some() => n.as_bool()?.then(Mail::default),
            _ => value(map, "mail", problems),
        },
        keep: value(map, "keep", problems).unwrap_or(KEEP_DEFAULT),
    };
    check(&stub, node, problems);
    (problems.0.len() == before).then_some(stub)
}

impl Stub {
    /// A stub that takes mail, by its one word in `mirror.yaml`.
    pub fn takes_mail() -> Self {
        Self {
            tls: None,
            routes: Vec::new(),
            default: None,
            raw: None,
            mail: Some(Mail::default()),
            keep: KEEP_DEFAULT,
        }
    }

    /// Whether TLS begins on this port when the client asks for it.
    pub fn starts_tls(&self, port: u16) -> bool {
        let wanted = |m: Mail| m.starttls.unwrap_or(port == 587);
        self.mail.is_some_and(wanted) && !TLS_PORTS.contains(&port)
    }

    /// The agent's configuration of this stub on these ports, without
    /// certificates: the engine half gives each TLS port its own.
    pub fn agent_config(&self, name: &str, ports: &[u16]) -> Json {
        let listen: Vec<Json> = ports
            .iter()
            .map(|port| match (&self.raw, &self.mail) {
                (Some(raw), _) => json!({"port": port, "raw": raw.to_json()}),
                (None, Some(_)) => {
                    json!({"port": port, "mail": {"starttls": self.starts_tls(*port)}})
                }
                (None, None) => json!({"port": port}),
            })
            .collect();
        let mut config = json!({"name": name, "listen": listen, "keep": self.keep});
        if self.raw.is_none() && self.mail.is_none() {
            config["routes"] = self.routes.iter().map(Route::to_json).collect();
            config["default"] = match &self.default {
                Some(d) => d.to_json(),
                None => json!({"status": 404, "json": {"error": "no stub route"}}),
            };
        }
        config
    }
}

impl Raw {
    fn to_json(&self) -> Json {
        let mut o = json!({"kind": self.kind.as_str()});
        if let Some(t) = &self.text {
            o["text"] = json!(t);
        }
        if let Some(b) = &self.base64 {
            o["base64"] = json!(b.as_str());
        }
        o
    }
}

impl Route {
    fn to_json(&self) -> Json {
        let mut o = json!({"path": self.path.as_str(), "respond": self.respond.to_json()});
        if let Some(m) = &self.method {
            o["method"] = json!(m.to_ascii_uppercase());
        }
        let mut when = serde_json::Map::new();
        if !self.when.header.is_empty() {
            when.insert("header".into(), json!(self.when.header));
        }
        if !self.when.query.is_empty() {
            when.insert("query".into(), json!(self.when.query));
        }
        if !self.when.json.is_empty() {
            let values = self.when.json.iter().map(|(k, v)| (k.clone(), v.to_json()));
            when.insert("json".into(), Json::Object(values.collect()));
        }
        if !when.is_empty() {
            o["when"] = Json::Object(when);
        }
        o
    }
}

impl Respond {
    fn to_json(&self) -> Json {
        let mut o = json!({"status": self.status.as_ref().map_or(200, |s| s.value)});
        if !self.headers.is_empty() {
            let headers = self
                .headers
                .iter()
                .map(|(k, v)| (k.clone(), json!(v.as_str())));
            o["headers"] = Json::Object(headers.collect());
        }
        if let Some(j) = &self.json {
            o["json"] = j.to_json();
        }
        if let Some(b) = &self.body {
            o["body"] = json!(b.as_str());
        }
        if let Some(Ok(d)) = self.delay.as_ref().map(delay_of) {
            o["delay_ms"] = json!(u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        }
        if self.template {
            o["template"] = json!(true);
        }
        o
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;
    use crate::yaml::parse_one;

    fn stub(text: &str) -> Result<Stub, Problems> {
        let node = parse_one(&SourceFile::new("stub.yaml", text)).map_err(Problems::from)?;
        let mut problems = Problems::default();
        read(&node, &mut problems).ok_or(problems)
    }

    #[test]
    fn the_agent_gets_what_was_written() {
        let s = stub(concat!(
            "routes:\n",
            "  - method: post\n    path: /v1/charges\n",
            "    when: { header: {x-mode: test}, json: {/amount: 100} }\n",
            "    respond: { status: 201, headers: {x-a: b}, json: {id: 'ch_{{counter}}'}, delay: 20ms, template: true }\n",
            "default: { status: 418, body: no }\n",
        ))
        .unwrap();
        assert_eq!(
            s.agent_config("payments", &[443]),
            json!({
                "name": "payments", "listen": [{"port": 443}], "keep": 200,
                "routes": [{"method": "POST", "path": "/v1/charges",
                    "when": {"header": {"x-mode": "test"}, "json": {"/amount": 100}},
                    "respond": {"status": 201, "headers": {"x-a": "b"},
                        "json": {"id": "ch_{{counter}}"}, "delay_ms": 20, "template": true}}],
                "default": {"status": 418, "body": "no"}
            })
        );
    }

    #[test]
    fn a_raw_stub() {
        let s = stub("raw: { kind: bytes, text: \"220 ready\\r\\n\" }").unwrap();
        assert_eq!(
            s.agent_config("smtp", &[25]),
            json!({"name": "smtp", "keep": 200,
                "listen": [{"port": 25, "raw": {"kind": "bytes", "text": "220 ready\r\n"}}]})
        );
    }

    #[test]
    fn a_stub_that_takes_mail() {
        let s = stub("mail: true").unwrap();
        assert_eq!(s, Stub::takes_mail());
        assert_eq!(
            s.agent_config("mx", &[25, 465, 587]),
            json!({"name": "mx", "keep": 200, "listen": [
                {"port": 25, "mail": {"starttls": false}},
                {"port": 465, "mail": {"starttls": false}},
                {"port": 587, "mail": {"starttls": true}},
            ]})
        );
        let s = stub("mail: { starttls: true }").unwrap();
        assert!(s.starts_tls(25) && !s.starts_tls(465));
        assert!(stub("mail: false\nroutes: []").unwrap().mail.is_none());
        let bad = stub("mail: { tls: true }").unwrap_err().to_string();
        assert!(bad.contains("unknown key `tls`"), "{bad}");
        let bad = stub("mail: yes please").unwrap_err().to_string();
        assert!(bad.contains("expected a mapping"), "{bad}");
        let bad = stub("mail: true\nraw: { kind: echo }").unwrap_err();
        assert!(bad.to_string().contains("nothing else"), "{bad}");
    }

    #[test]
    fn every_mistake_is_named() {
        let bad = stub(concat!(
            "route: []\n",
            "routes:\n",
            "  - { path: v1 }\n",
            "  - { path: '~(' }\n",
            "  - { path: /a, respond: { status: 42, json: 1, body: x, delay: 5 apples, headers: { 'a b': c } } }\n",
            "  - { path: /a, wen: {} }\n",
            "  - { path: /a, when: { json: { amount: 1 } } }\n",
            "raw: { kind: bytes }\n",
        ))
        .unwrap_err()
        .to_string();
        for part in [
            "did you mean `routes`?",
            "a path begins with `/`",
            "is not a regular expression",
            "42 is not an HTTP status",
            "`json` or `body`, not both",
            "`5 apples` is not a duration",
            "not a valid HTTP header",
            "did you mean `when`?",
            "write `/amount`",
            "not both",
            "exactly one of `text` and `base64`",
        ] {
            assert!(bad.contains(part), "{part:?} is missing in:\n{bad}");
        }
    }
}
