//! Hosts in texts.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::LazyLock;

use regex::Regex;

use crate::project::egress::is_host_name;
use crate::stack::secret_ref;

/// A host in a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

/// Whether a variable is called like one that holds a host.
pub fn is_host_key(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    if name.ends_with("VHOST") {
        return false;
    }
    const ENDS: [&str; 15] = [
        "HOST", "HOSTNAME", "ADDR", "ADDRESS", "SERVER", "SERVERS", "ENDPOINT", "BROKER",
        "BROKERS", "NODES", "UPSTREAM", "URI", "URL", "DSN", "HOSTS",
    ];
    let last = name.rsplit(['_', '.', '-']).next().unwrap_or(&name);
    ENDS.contains(&last) || ENDS.iter().any(|e| e.len() > 4 && name.ends_with(e))
}

#[expect(
    clippy::unwrap_used,
    reason = "the patterns are constants, and tests use them"
)]
static URL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?i)\b([a-z][a-z0-9+.-]*)://([^\s"'<>\\^`{}|()\[\]]*(?:\[[0-9a-f:.]+\][^\s"'<>\\]*)?)"#,
    )
    .unwrap()
});
#[expect(
    clippy::unwrap_used,
    reason = "the patterns are constants, and tests use them"
)]
static CALL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?i)\btcp\(([^)\s]+)\)").unwrap());
#[expect(
    clippy::unwrap_used,
    reason = "the patterns are constants, and tests use them"
)]
static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:^|[;\s])(?:server|host|data source|address)\s*=\s*(?:tcp:)?([a-z0-9_.-]+)(?:[,:](\d+))?").unwrap()
});

/// Schemes that name no host.
const NO_HOST: [&str; 12] = [
    "s3",
    "gs",
    "file",
    "unix",
    "npipe",
    "data",
    "arn",
    "sqlite",
    "sqlite3",
    "jar",
    "classpath",
    "memory",
];

/// The hosts in a value; `by_key` when the value's name says that it is a host.
pub(super) fn candidates(value: &str, by_key: bool) -> Vec<Candidate> {
    let text: String = secret_ref::parts(value)
        .iter()
        .map(|p| match p {
            secret_ref::Part::Text(t) => t,
            secret_ref::Part::Secret(_) => "SECRET",
        })
        .collect();
    let mut out = BTreeSet::new();
    let mut rest = text.clone();
    for c in URL.captures_iter(&text) {
        rest = rest.replace(&c[0], " ");
        let scheme = c[1].to_ascii_lowercase();
        if !NO_HOST.contains(&scheme.as_str()) {
            url_hosts(&scheme, &c[2], &mut out);
        }
    }
    for c in CALL.captures_iter(&text) {
        rest = rest.replace(&c[0], " ");
        out.extend(host_port(&c[1], None));
    }
    for c in PAIR.captures_iter(&text) {
        let port = c.get(2).and_then(|p| p.as_str().parse().ok());
        if text.contains(';') {
            out.extend(host_port(&c[1], port));
        }
    }
    let separators = |c: char| c.is_whitespace() || ",;\"'()[]{}=<>|".contains(c);
    for token in rest.split(separators).filter(|t| !t.is_empty()) {
        let c = host_port(token, None).filter(|c| c.port.is_some_and(|p| p > 20));
        match c {
            Some(c) if c.host.contains(char::is_alphabetic) || is_ip(&c.host) => {
                out.insert(c);
            }
            _ => {}
        }
    }
    if by_key && !value.contains("://") {
        for part in rest
            .split([',', ';', ' '])
            .map(str::trim)
            .filter(|p| !p.is_empty())
        {
            out.extend(bare_host(part));
        }
    }
    out.into_iter().collect()
}

fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

fn url_hosts(scheme: &str, rest: &str, out: &mut BTreeSet<Candidate>) {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    let hosts = authority
        .rsplit_once('@')
        .map_or(authority, |(_, hosts)| hosts);
    for host in hosts.split(',') {
        out.extend(host_port(host, default_port(scheme)));
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    Some(match scheme {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        "postgres" | "postgresql" => 5432,
        "mysql" | "mariadb" => 3306,
        "redis" => 6379,
        "rediss" => 6380,
        "amqp" => 5672,
        "amqps" => 5671,
        "mongodb" => 27017,
        "nats" => 4222,
        "smtp" => 25,
        "smtps" => 465,
        "ldap" => 389,
        "ldaps" => 636,
        "kafka" => 9092,
        "sqlserver" | "mssql" => 1433,
        "memcached" => 11211,
        _ => return None,
    })
}

/// `host`, `host:port`, `[v6]:port`.
fn host_port(text: &str, default: Option<u16>) -> Option<Candidate> {
    let text = text.trim_end_matches('.');
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        (host, rest.strip_prefix(':'))
    } else if text.matches(':').count() > 1 {
        return None;
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let port = match port {
        Some(p) => Some(p.parse::<u16>().ok().filter(|p| *p > 0)?),
        None => default,
    };
    let host = host.to_ascii_lowercase();
    let fits = is_ip(&host) || (is_host_name(&host) && host.contains(char::is_alphabetic));
    (fits && host != "secret").then_some(Candidate { host, port })
}

/// The value of a key that names a host.
fn bare_host(text: &str) -> Option<Candidate> {
    let text = text.split('/').next().filter(|h| !h.is_empty())?;
    let c = host_port(text, None)?;
    const WORDS: [&str; 14] = [
        "true", "false", "yes", "no", "on", "off", "none", "null", "default", "auto", "changeme",
        "all", "any", "disabled",
    ];
    const FILES: [&str; 20] = [
        "yaml",
        "yml",
        "json",
        "conf",
        "cfg",
        "ini",
        "py",
        "js",
        "sock",
        "pem",
        "crt",
        "key",
        "txt",
        "xml",
        "properties",
        "log",
        "sh",
        "sql",
        "db",
        "sqlite",
    ];
    let last = c.host.rsplit('.').next().unwrap_or("");
    let is_file = c.host.contains('.') && FILES.contains(&last);
    (!WORDS.contains(&c.host.as_str()) && !is_file).then_some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(value: &str, by_key: bool) -> Vec<String> {
        candidates(value, by_key)
            .into_iter()
            .map(|c| match c.port {
                Some(p) => format!("{}:{p}", c.host),
                None => c.host,
            })
            .collect()
    }

    #[test]
    fn urls() {
        assert_eq!(
            hosts("https://api.example/v1?x=http://b.example", false),
            ["api.example:443"]
        );
        assert_eq!(hosts("postgres://u:p@a:1,b:2/x", false), ["a:1", "b:2"]);
        assert_eq!(
            hosts("jdbc:postgresql://db.prod:5433/x", false),
            ["db.prod:5433"]
        );
        assert_eq!(hosts("user:pw@tcp(mysql:3306)/x", false), ["mysql:3306"]);
        assert_eq!(
            hosts("Server=sql.prod,1433;Database=x", false),
            ["sql.prod:1433"]
        );
        assert_eq!(
            hosts("[\"http://a:80\",\"http://b:81\"]", false),
            ["a:80", "b:81"]
        );
        assert_eq!(
            hosts("http://[2001:db8::1]:8080/x", false),
            ["2001:db8::1:8080"]
        );
        assert_eq!(hosts("s3://bucket/x file:///etc/x", false), [""; 0]);
        let secret = format!("amqp://u:{}@mq.prod", secret_ref::token("PW"));
        assert_eq!(hosts(&secret, false), ["mq.prod:5672"]);
    }

    #[test]
    fn tokens_and_keys() {
        assert_eq!(
            hosts("--peers=a:7000,b.prod:7001", false),
            ["a:7000", "b.prod:7001"]
        );
        assert_eq!(
            hosts("12:30 1000:1000 nginx:1.25 a:b /a:/b", false),
            [""; 0]
        );
        assert_eq!(hosts("mail.prod", true), ["mail.prod"]);
        assert_eq!(hosts("mail.prod", false), [""; 0]);
        assert_eq!(hosts("true", true), [""; 0]);
        assert_eq!(hosts("3", true), [""; 0]);
        assert_eq!(hosts("/run/x.sock", true), [""; 0]);
        assert_eq!(hosts("config.yaml", true), [""; 0]);
        assert_eq!(hosts("2001:db8::", true), [""; 0]);
        assert_eq!(hosts("10.1.2.3", true), ["10.1.2.3"]);
        assert!(is_host_key("SMTP_HOST") && is_host_key("KAFKA_BOOTSTRAP_SERVERS"));
        assert!(!is_host_key("RABBITMQ_DEFAULT_VHOST") && !is_host_key("LOCALHOSTING"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(t in proptest::prelude::any::<String>(), u in "[a-z:/@,.\\[\\]()=;0-9 ]{0,40}") {
            for t in [t, u] {
                let _ = candidates(&t, true);
                let _ = candidates(&t, false);
            }
        }
    }
}
