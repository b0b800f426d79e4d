//! Traffic that leaves the mirror: what is declared to answer for it.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;

use super::decode::keep;
use super::path;
use super::stub::{self, Stub, TLS_PORTS};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::source::SourceFile;
use crate::yaml::{Node, Spanned, from_node, parse_one};

/// A destination outside of the mirror.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Name in lower case, or an address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Endpoint {
    /// Reads `host:port` or `[address]:port`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some((scheme, rest)) = text.split_once("://") {
            let host = rest.split(['/', '?']).next().unwrap_or(rest);
            let port = match scheme {
                "https" | "wss" => ":443",
                "http" | "ws" => ":80",
                _ => ":PORT",
            };
            let port = if host.contains(':') { "" } else { port };
            return Err(format!(
                "a destination is written `host:port`, here `{host}{port}`"
            ));
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest
                .split_once("]:")
                .ok_or("a destination is written `host:port`")?,
            None => text
                .rsplit_once(':')
                .ok_or_else(|| format!("the port is missing: write `{text}:443`"))?,
        };
        let port: u16 = match port.parse() {
            Ok(p) if p > 0 => p,
            _ => return Err(format!("`{port}` is not a port (1 to 65535)")),
        };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if host.contains('*') {
            return Err(
                "a wildcard cannot be a name in a stack's network; name each host".to_owned(),
            );
        }
        if host.parse::<IpAddr>().is_err() && !is_host_name(&host) {
            return Err(format!("`{host}` is not a host name"));
        }
        Ok(Self { host, port })
    }

    /// Whether the host is an address rather than a name.
    pub fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Whether a text is a DNS name (underscores are tolerated, as Docker does).
pub fn is_host_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// What becomes of one destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Egress {
    /// The destination.
    pub to: Endpoint,
    /// Where it is declared.
    pub at: Spanned<String>,
    /// What happens.
    pub fate: Fate,
    /// Why, as the project says.
    pub because: Option<String>,
}

/// What happens to traffic to a destination.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// A stub answers under the destination's name.
    Stub {
        /// What it answers.
        stub: Box<Stub>,
        /// Whether it speaks TLS; by default it does on 443, 465, 636, 993, 995 and 8443, and
        /// one that takes mail on 587, where the client begins it.
        tls: bool,
    },
    /// The traffic really leaves the mirror.
    Allow,
    /// Known and blocked: it fails at once and is not reported as a surprise.
    Deny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
struct Written {
    #[serde(default)]
    stub: Option<Node>,
    #[serde(default)]
    allow: Option<Spanned<bool>>,
    #[serde(default)]
    deny: Option<Spanned<bool>>,
    #[serde(default)]
    tls: Option<Spanned<bool>>,
    #[serde(default)]
    because: Option<String>,
}

/// Reads one entry of `egress`.
pub(super) fn read(
    root: &Path,
    name: &Spanned<String>,
    node: &Node,
    problems: &mut Problems,
) -> Option<Egress> {
    let to = keep(
        Endpoint::parse(name).map_err(|e| Problem::at(ProblemKind::InvalidValue, &name.span, e)),
        problems,
    );
    let written: Written = keep(from_node(node), problems)?;
    let chosen = [
        written.stub.is_some(),
        written.allow.as_deref() == Some(&true),
        written.deny.as_deref() == Some(&true),
    ];
    let fate = match chosen {
        [true, false, false] => stub_fate(root, name, to.as_ref(), &written, problems)?,
        [false, true, false] => Fate::Allow,
        [false, false, true] => Fate::Deny,
        _ => {
            problems.push(
                Problem::at(
                    ProblemKind::Conflict,
                    &node.span,
                    format!(
                        "`{}` needs exactly one of `stub`, `allow: true`, `deny: true`",
                        name.as_str()
                    ),
                )
                .help("write for example { stub: stubs/payments.yaml }"),
            );
            return None;
        }
    };
    if let (Some(tls), false) = (&written.tls, matches!(fate, Fate::Stub { .. })) {
        problems.push(Problem::at(
            ProblemKind::Conflict,
            &tls.span,
            "`tls` says what a stub speaks; there is no stub here",
        ));
    }
    Some(Egress {
        to: to?,
        at: name.clone(),
        fate,
        because: written.because,
    })
}

fn stub_fate(
    root: &Path,
    name: &Spanned<String>,
    to: Option<&Endpoint>,
    written: &Written,
    problems: &mut Problems,
) -> Option<Fate> {
    let node = written.stub.as_ref()?;
    let stub = match node.as_str() {
        Some("mail") => Stub::takes_mail(),
        Some(text) => {
            let written = Spanned::new(text.to_owned(), node.span.clone());
            let file = keep(path::existing(root, &written), problems)?;
            let source = keep(
                SourceFile::read(&file.path, text).map_err(|p| p.or_at(&node.span)),
                problems,
            )?;
            let tree = keep(parse_one(&source), problems)?;
            stub::read(&tree, problems)?
        }
        None => stub::read(node, problems)?,
    };
    let to = to?;
    if to.is_address() {
        problems.push(
            Problem::at(
                ProblemKind::Unsupported,
                &name.span,
                format!(
                    "a stub answers under a name; `{}` is an address, which no network can give it",
                    to.host
                ),
            )
            .help("give the service the name instead, by an environment variable or `extra_hosts`"),
        );
        return None;
    }
    let tls = match (&written.tls, &stub.tls) {
        (Some(t), _) => t.value,
        (None, Some(t)) => *t,
        (None, None) => {
            stub.raw.is_none() && (TLS_PORTS.contains(&to.port) || stub.starts_tls(to.port))
        }
    };
    let stub = Box::new(stub);
    Some(Fate::Stub { stub, tls })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations() {
        let e = Endpoint::parse("API.Payments.example.:443").unwrap();
        assert_eq!(e.to_string(), "api.payments.example:443");
        assert!(Endpoint::parse("[2001:db8::1]:25").unwrap().is_address());
        assert!(Endpoint::parse("10.0.0.1:25").unwrap().is_address());
        assert_eq!(Endpoint::parse("[::1]:25").unwrap().to_string(), "[::1]:25");
        let says = |t: &str| Endpoint::parse(t).unwrap_err();
        assert!(says("https://api.example/v1").contains("`api.example:443`"));
        assert!(says("api.example").contains("`api.example:443`"));
        assert!(says("*.example:443").contains("wildcard"));
        assert!(says("a b:1").contains("not a host name"));
        assert!(says("a:70000").contains("not a port"));
        assert!(says(":1").contains("not a host name"));
        assert!(says("").contains("port is missing"));
    }
}
