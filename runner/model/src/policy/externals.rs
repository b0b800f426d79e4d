//! Hidden dependencies: hosts that values of the spec name and the spec does not describe.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::LazyLock;

use regex::Regex;

use super::egress::names_of;
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::{Class, Record, Severity};
use crate::mirror::{Argv, Mirror, MountKind, Service};
use crate::project::egress::is_host_name;
use crate::project::{Endpoint, Fate, Project, path};
use crate::source::Span;
use crate::stack::secret_ref;

/// Longer files are not searched for hosts.
const MAX_SEARCHED: u64 = 256 * 1024;

/// A host outside of the mirror, and where the spec names it.
#[derive(Debug, Clone, PartialEq)]
pub struct External {
    /// Its name or address, in lower case.
    pub host: String,
    /// Its port, where it can be known.
    pub port: Option<u16>,
    /// Where it is named.
    pub found: Vec<Mention>,
    /// What the project declares for it.
    pub decision: Decision,
}

/// One place that names a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Mention {
    /// The service that uses it.
    pub service: String,
    /// The field: `environment.FRAUD_URL`, `command`, `config nginx.conf`…
    pub field: String,
    /// The place.
    pub span: Span,
}

/// What the project declares for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A stub answers.
    Stubbed,
    /// The traffic leaves.
    Allowed,
    /// It is blocked on purpose.
    Denied,
    /// Nothing: calls fail.
    Undeclared,
}

/// A host in a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    host: String,
    port: Option<u16>,
}

/// All hosts outside of the mirror that its values name.
pub fn find(mirror: &Mirror, project: &Project) -> Vec<External> {
    let names = Names::of(mirror);
    let mut found: BTreeMap<Candidate, Vec<Mention>> = BTreeMap::new();
    for (key, service) in &mirror.services {
        let mut search = Search {
            names: &names,
            service: key,
            found: &mut found,
        };
        search.service(service, mirror, project);
    }
    found
        .into_iter()
        .map(|(c, mentions)| External {
            decision: decide(&c, project),
            host: c.host,
            port: c.port,
            found: mentions,
        })
        .collect()
}

fn decide(c: &Candidate, project: &Project) -> Decision {
    let of = |e: &crate::project::Egress| match e.fate {
        Fate::Stub { .. } => Decision::Stubbed,
        Fate::Allow => Decision::Allowed,
        Fate::Deny => Decision::Denied,
    };
    project
        .egress
        .iter()
        .find(|e| e.to.host == c.host && c.port.is_none_or(|p| p == e.to.port))
        .map_or(Decision::Undeclared, of)
}

impl External {
    /// The destination as it is written in `mirror.yaml`.
    pub fn endpoint(&self) -> String {
        let port = self.port.unwrap_or(443);
        let host = self.host.clone();
        Endpoint { host, port }.to_string()
    }

    /// The warning of a host that nothing declares.
    pub fn problem(&self) -> Option<Problem> {
        if self.decision != Decision::Undeclared {
            return None;
        }
        let first = self.found.first()?;
        let endpoint = self.endpoint();
        let file = self.host.replace(['.', ':'], "-");
        let mut p = Problem::at(
            ProblemKind::UnknownReference,
            &first.span,
            format!(
                "service `{}` names `{}` in {}, and nothing says what answers for it",
                first.service, self.host, first.field
            ),
        )
        .warning()
        .help(format!(
            "calls to it will fail; declare it in mirror.yaml:\negress:\n  \"{endpoint}\": {{ stub: stubs/{file}.yaml }}   # or {{ deny: true }}, {{ allow: true }}"
        ));
        for m in self.found.iter().skip(1).take(4) {
            p = p.related(
                &m.span,
                format!("service `{}` names it in {}", m.service, m.field),
            );
        }
        Some(p)
    }

    /// The fidelity record of a host that nothing declares.
    pub fn record(&self) -> Option<Record> {
        if self.decision != Decision::Undeclared {
            return None;
        }
        let first = self.found.first()?;
        let object = format!("external:{}", self.host);
        let field = format!("{} of {}", first.field, first.service);
        let mut r = Record::new(object, field, Class::Unknown, Severity::High).at(&first.span);
        r.declared = self.endpoint();
        r.reason = "no spec describes it and mirror.yaml does not declare it".to_owned();
        r.raise = format!(
            "declare `{}` under `egress` in mirror.yaml",
            self.endpoint()
        );
        r.rule = "hidden-dependency".to_owned();
        Some(r)
    }
}

/// Names and addresses that belong to the mirror.
struct Names {
    known: BTreeSet<String>,
    networks: Vec<String>,
    subnets: Vec<(IpAddr, u8)>,
}

const OWN_ADDRESS_KEYS: [&str; 18] = [
    "DOMAIN",
    "DOMAIN_NAME",
    "PUBLIC_URL",
    "PUBLIC_HOST",
    "PUBLIC_HOSTNAME",
    "SITE_URL",
    "ROOT_URL",
    "BASE_URL",
    "EXTERNAL_URL",
    "EXTERNAL_HOST",
    "EXTERNAL_HOSTNAME",
    "FRONTEND_HOST",
    "WEBHOOK_URL",
    "SERVER_NAME",
    "VIRTUAL_HOST",
    "LETSENCRYPT_HOST",
    "FRONTEND_URL",
    "APP_URL",
];

impl Names {
    fn of(mirror: &Mirror) -> Self {
        let mut known: BTreeSet<String> = names_of(mirror).into_keys().collect();
        let mut subnets = Vec::new();
        for (key, s) in &mirror.services {
            let first = key
                .split(['-', '_', '.'])
                .next()
                .unwrap_or(key)
                .to_ascii_uppercase();
            for host in &s.network.extra_hosts {
                let own = host
                    .address
                    .parse::<IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback());
                if own {
                    known.insert(host.host.to_ascii_lowercase());
                }
            }
            for a in s.network.attachments.values() {
                known.extend(a.ipv4_address.iter().map(|a| a.value.clone()));
                known.extend(a.ipv6_address.iter().map(|a| a.value.clone()));
            }
            // What is called the site's own address is not a dependency.
            for var in &s.env {
                let name = var.name.to_ascii_uppercase();
                // `GITLAB_HOST` of `gitlab` is where people find it.
                let of_itself = ["HOST", "HOSTNAME", "URL", "DOMAIN"]
                    .iter()
                    .any(|end| name == format!("{first}_{end}"));
                let own = of_itself
                    || OWN_ADDRESS_KEYS
                        .iter()
                        .any(|k| name == *k || name.ends_with(&format!("_{k}")));
                if let (true, Some(value)) = (own, &var.value) {
                    known.extend(candidates(value, true).into_iter().map(|c| c.host));
                }
            }
        }
        let pools = mirror.networks.values().filter_map(|n| n.ipam.as_ref());
        for pool in pools.flat_map(|i| &i.pools) {
            let subnet = pool.subnet.as_ref().and_then(|s| s.split_once('/'));
            if let Some((base, bits)) = subnet
                && let (Ok(base), Ok(bits)) = (base.parse(), bits.parse())
            {
                subnets.push((base, bits));
            }
        }
        Self {
            known,
            networks: mirror.networks.keys().cloned().collect(),
            subnets,
        }
    }

    fn is_own(&self, host: &str) -> bool {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || host == "255.255.255.255"
                || self.known.contains(host)
                || self
                    .subnets
                    .iter()
                    .any(|(base, bits)| in_subnet(ip, *base, *bits));
        }
        if self.known.contains(host) || host == "localhost" || host.ends_with(".localhost") {
            return true;
        }
        if let Some(rest) = host.strip_prefix("tasks.") {
            return self.known.contains(rest);
        }
        host.split_once('.').is_some_and(|(name, network)| {
            self.known.contains(name) && self.networks.iter().any(|n| n == network)
        })
    }
}

fn in_subnet(ip: IpAddr, base: IpAddr, bits: u8) -> bool {
    let (ip, base, width) = match (ip, base) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    let shift = width - u32::from(bits).min(width);
    ip.checked_shr(shift).unwrap_or(0) == base.checked_shr(shift).unwrap_or(0)
}

struct Search<'s> {
    names: &'s Names,
    service: &'s str,
    found: &'s mut BTreeMap<Candidate, Vec<Mention>>,
}

impl Search<'_> {
    fn service(&mut self, s: &Service, mirror: &Mirror, project: &Project) {
        for var in &s.env {
            let Some(value) = &var.value else { continue };
            let by_key = is_host_key(&var.name);
            let mut hosts = candidates(value, by_key);
            for c in hosts.iter_mut().filter(|c| c.port.is_none()) {
                c.port = sibling_port(s, &var.name);
            }
            self.note(
                hosts,
                &format!("environment.{}", var.name.value),
                &value.span,
            );
        }
        for (field, argv) in [
            ("entrypoint", &s.process.entrypoint),
            ("command", &s.process.command),
        ] {
            if let Argv::Set(args) = &argv.value {
                for arg in args {
                    self.note(candidates(arg, false), field, &arg.span);
                }
            }
        }
        for entry in &s.network.extra_hosts {
            let host = entry.host.to_ascii_lowercase();
            let c = Candidate { host, port: None };
            self.note(vec![c], "extra_hosts", &entry.span);
        }
        self.files(s, mirror, project);
    }

    fn files(&mut self, s: &Service, mirror: &Mirror, project: &Project) {
        for used in &s.config_files {
            let Some(name) = &used.source else { continue };
            let Some(object) = mirror.config_files.get(name.as_str()) else {
                continue;
            };
            let field = format!("config {}", name.value);
            if let Some(content) = &object.content {
                self.body(content, &field, &content.span);
            } else if let Some(file) = &object.file {
                self.file(file, &field, &file.span, project);
            }
        }
        for m in s
            .mounts
            .list
            .iter()
            .filter(|m| m.kind.value == MountKind::Bind)
        {
            if let Some(source) = &m.source {
                let field = format!("file {}", source.rsplit('/').next().unwrap_or(source));
                self.file(source, &field, &m.span, project);
            }
        }
    }

    fn file(&mut self, file: &str, field: &str, span: &Span, project: &Project) {
        let written = crate::yaml::Spanned::new(file.to_owned(), span.clone());
        let Ok(path) = path::inside(&project.root, &project.root, &written) else {
            return;
        };
        let searched =
            std::fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= MAX_SEARCHED);
        if searched && let Ok(text) = std::fs::read_to_string(&path) {
            self.body(&text, field, span);
        }
    }

    /// A configuration file: URLs and `host:port` outside of comments.
    fn body(&mut self, text: &str, field: &str, span: &Span) {
        for line in text.lines() {
            let code = line.trim_start();
            if code.starts_with(['#', ';'])
                || code.starts_with("//")
                || code.contains("xmlns")
                || code.contains("$schema")
            {
                continue;
            }
            let hosts = candidates(code, false)
                .into_iter()
                .filter(|c| c.port.is_some() && !NOT_CALLED.contains(&c.host.as_str()))
                .collect();
            self.note(hosts, field, span);
        }
    }

    fn note(&mut self, hosts: Vec<Candidate>, field: &str, span: &Span) {
        for c in hosts {
            if self.names.is_own(&c.host) {
                continue;
            }
            let mention = Mention {
                service: self.service.to_owned(),
                field: field.to_owned(),
                span: span.clone(),
            };
            let mentions = self.found.entry(c).or_default();
            let known = mentions
                .iter()
                .any(|m| m.service == mention.service && m.field == mention.field);
            if !known {
                mentions.push(mention);
            }
        }
    }
}

/// Hosts that identify something and are not called.
const NOT_CALLED: [&str; 4] = [
    "www.w3.org",
    "json-schema.org",
    "schemas.xmlsoap.org",
    "xml.org",
];

/// Whether a variable is called like one that holds a host.
fn is_host_key(name: &str) -> bool {
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

/// `SMTP_PORT` beside `SMTP_HOST`.
fn sibling_port(s: &Service, name: &str) -> Option<u16> {
    let upper = name.to_ascii_uppercase();
    let stem = ["HOSTNAME", "HOST", "ADDRESS", "ADDR", "SERVER"]
        .iter()
        .find_map(|end| upper.strip_suffix(end))?;
    let wanted = format!("{stem}PORT");
    s.env
        .iter()
        .find(|v| v.name.to_ascii_uppercase() == wanted)
        .and_then(|v| v.value.as_ref()?.parse().ok())
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
fn candidates(value: &str, by_key: bool) -> Vec<Candidate> {
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

    #[test]
    fn subnets() {
        let ip = |t: &str| t.parse().unwrap();
        assert!(in_subnet(ip("10.1.2.3"), ip("10.1.0.0"), 16));
        assert!(!in_subnet(ip("10.2.2.3"), ip("10.1.0.0"), 16));
        assert!(in_subnet(ip("10.2.2.3"), ip("0.0.0.0"), 0));
        assert!(!in_subnet(ip("10.2.2.3"), ip("::"), 0));
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
