//! Names of services in values of variables and files, and the addresses in their place.
//!
//! A name is only taken for a host where it stands as one: `name:port`, behind `://`, behind
//! `host=`, or alone in a variable that is called like an address. `shop` may be a service, a
//! user and a database in one and the same value.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use prodmirror_model::plan::Plan;

use super::addresses::{List, is_relay};

/// Ports that URLs without one mean.
const DEFAULTS: [(&str, u16); 17] = [
    ("amqp", 5672),
    ("amqps", 5671),
    ("ftp", 21),
    ("http", 80),
    ("https", 443),
    ("mongodb", 27017),
    ("mqtt", 1883),
    ("mysql", 3306),
    ("mariadb", 3306),
    ("nats", 4222),
    ("postgres", 5432),
    ("postgresql", 5432),
    ("redis", 6379),
    ("rediss", 6379),
    ("smtp", 25),
    ("ws", 80),
    ("wss", 443),
];

/// Words in the names of variables that hold a host.
const HOST_WORDS: [&str; 10] = [
    "HOST", "ADDR", "SERVER", "ENDPOINT", "URL", "URI", "BROKER", "NODE", "DOMAIN", "UPSTREAM",
];

/// All names by which services are called, in lower case, with the service.
#[derive(Debug, Clone, Default)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    /// The names of a plan's services. Those that lead to an allowed destination outside are
    /// none: this machine reaches it by itself.
    pub fn of(plan: &Plan) -> Self {
        let mut names = Self::default();
        for c in plan.containers.iter().filter(|c| !is_relay(c)) {
            let endpoints = c.body["NetworkingConfig"]["EndpointsConfig"].as_object();
            let aliases = endpoints
                .into_iter()
                .flat_map(|e| e.values())
                .filter_map(|e| e["Aliases"].as_array())
                .flatten()
                .filter_map(|a| a.as_str());
            let hostname = c.body["Hostname"].as_str().filter(|h| !h.is_empty());
            for name in aliases.chain(hostname).chain([c.service.as_str()]) {
                names.add(name, &c.service);
            }
        }
        names
    }

    fn add(&mut self, name: &str, service: &str) {
        let name = name.to_ascii_lowercase();
        self.0.entry(name).or_insert_with(|| service.to_owned());
    }

    fn find(&self, name: &str) -> Option<&str> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.0.get(&name).map(String::as_str)
    }
}

/// A host in a text.
#[derive(Debug, PartialEq, Eq)]
struct Host<'n> {
    service: &'n str,
    /// Where it stands, with the port where there is one.
    at: Range<usize>,
    /// Its port, written or meant.
    port: Option<u16>,
    /// Whether the port is written.
    written: bool,
}

/// The services and ports that a text names.
pub fn mentions<'n>(text: &str, names: &'n Names) -> BTreeSet<(&'n str, u16)> {
    let hosts = hosts(text, names).into_iter();
    hosts.filter_map(|h| Some((h.service, h.port?))).collect()
}

/// All that stands as a host in a text.
fn hosts<'n>(text: &str, names: &'n Names) -> Vec<Host<'n>> {
    let mut found = Vec::new();
    let mut from = 0;
    // URLs first: their user parts and paths are not looked at again.
    while let Some(at) = text[from..].find("://").map(|i| from + i) {
        plain(text, from..at, names, &mut found);
        let scheme = text[..at]
            .rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '+' && c != '-')
            .next()
            .unwrap_or_default();
        let scheme = scheme.split('+').next().unwrap_or_default();
        let begin = at + 3;
        let length = text[begin..].find(|c: char| ends_authority(c));
        let end = length.map_or(text.len(), |l| begin + l);
        authority(text, begin..end, scheme, names, &mut found);
        let rest = text[end..].find(|c: char| c.is_whitespace() || "\"'<>,;".contains(c));
        from = rest.map_or(text.len(), |l| end + l);
    }
    plain(text, from..text.len(), names, &mut found);
    found
}

fn ends_authority(c: char) -> bool {
    c.is_whitespace() || "/?#\"'<>\\;)".contains(c)
}

/// `user:password@host:port,host:port`
fn authority<'n>(
    text: &str,
    range: Range<usize>,
    scheme: &str,
    names: &'n Names,
    found: &mut Vec<Host<'n>>,
) {
    let part = &text[range.clone()];
    let mut at = range.start + part.rfind('@').map_or(0, |i| i + 1);
    let scheme = scheme.to_ascii_lowercase();
    let usual = DEFAULTS.iter().find(|(s, _)| *s == scheme).map(|(_, p)| *p);
    for piece in text[at..range.end].split(',') {
        let (name, port) = match piece.split_once(':') {
            Some((name, port)) => (name, port.parse::<u16>().ok()),
            None => (piece, None),
        };
        let written = piece.contains(':');
        if let Some(service) = names.find(name)
            && (port.is_some() || !written)
        {
            found.push(Host {
                service,
                at: at..at + piece.len(),
                port: port.or(usual),
                written,
            });
        }
        at += piece.len() + 1;
    }
}

/// `name:port` and `host=name`, where there is no URL.
fn plain<'n>(text: &str, range: Range<usize>, names: &'n Names, found: &mut Vec<Host<'n>>) {
    let parts = |c: char| c.is_whitespace() || ",;=|\"'()[]{}<>/@&".contains(c);
    let mut at = range.start;
    let mut key = "";
    for token in text[range].split_inclusive(parts) {
        let word = token.trim_end_matches(parts);
        let next = &text[at + word.len()..];
        let host = match word.split_once(':') {
            // `user:5432@host` is no address.
            Some((name, port)) if !next.starts_with('@') => {
                let port = port.split(':').next().and_then(|p| p.parse::<u16>().ok());
                let service = names.find(name).filter(|_| port.is_some());
                service.map(|service| (service, port, true))
            }
            None if is_host_key(key) => names.find(word).map(|service| (service, None, false)),
            _ => None,
        };
        if let Some((service, port, written)) = host {
            let length = match port {
                Some(port) => word.find(':').map_or(0, |i| i + 1) + port.to_string().len(),
                None => word.len(),
            };
            found.push(Host {
                service,
                at: at..at + length,
                port,
                written,
            });
        }
        key = if token.ends_with('=') { word } else { "" };
        at += token.len();
    }
}

fn is_host_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    matches!(
        key.as_str(),
        "host" | "server" | "hostaddr" | "addr" | "address" | "source"
    )
}

/// The addresses of services, for what names them.
pub struct Book {
    names: Names,
    at: BTreeMap<String, BTreeMap<u16, SocketAddr>>,
}

/// A text with addresses in the place of names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The text.
    pub text: String,
    /// Whether it is another one.
    pub changed: bool,
    /// What could not be done.
    pub doubts: Vec<String>,
}

impl Book {
    /// The addresses of a list.
    pub fn new(names: Names, list: &List) -> Self {
        let each = list.services.iter();
        Self {
            names,
            at: each.map(|e| (e.service.clone(), e.at.clone())).collect(),
        }
    }

    /// The address of a service, when all its ports are production's there.
    fn whole(&self, service: &str) -> Option<IpAddr> {
        let at = self.at.get(service)?;
        let first = at.values().next()?.ip();
        let own = |(port, at): (&u16, &SocketAddr)| *port == at.port() && at.ip() == first;
        at.iter().all(own).then_some(first)
    }

    /// Puts addresses in the place of all that stands as a host.
    pub fn text(&self, text: &str) -> Rewritten {
        let mut out = Rewritten::default();
        let mut from = 0;
        for host in hosts(text, &self.names) {
            let known = |port| self.at.get(host.service)?.get(&port);
            let new = match (host.port.and_then(known), host.port, host.written) {
                (Some(at), Some(port), false) if at.port() == port => at.ip().to_string(),
                (Some(at), ..) => at.to_string(),
                (None, None, false) => match self.whole(host.service) {
                    Some(ip) => ip.to_string(),
                    None => {
                        out.doubts.push(self.doubt(host.service));
                        continue;
                    }
                },
                (None, ..) => {
                    let written = &text[host.at.clone()];
                    out.doubts
                        .push(format!("`{written}` is not reached from here"));
                    continue;
                }
            };
            out.text.push_str(&text[from..host.at.start]);
            out.text.push_str(&new);
            from = host.at.end;
            out.changed = true;
        }
        out.text.push_str(&text[from..]);
        out
    }

    fn doubt(&self, service: &str) -> String {
        let at = self.at.get(service);
        let ports = at.into_iter().flatten();
        let ports: Vec<String> = ports.map(|(port, at)| format!("{port} at {at}")).collect();
        match ports.is_empty() {
            true => format!("no port of `{service}` is known, so it is not reached from here"),
            false => format!(
                "`{service}` has other ports here, which has to be said by hand: {}",
                ports.join(", ")
            ),
        }
    }

    /// Puts addresses in the place of names in the value of a variable. `all` is the whole
    /// environment: a port may stand in a variable of its own.
    pub fn variable(&self, name: &str, value: &str, all: &BTreeMap<String, String>) -> Rewritten {
        if let Some(service) = self.names.find(value) {
            return self.alone(name, value, service, all);
        }
        if let Some(at) = self.port_of(name, value, all) {
            return Rewritten {
                changed: value != at.port().to_string(),
                text: at.port().to_string(),
                doubts: Vec::new(),
            };
        }
        self.text(value)
    }

    /// A variable that is nothing but a name.
    fn alone(
        &self,
        name: &str,
        value: &str,
        service: &str,
        all: &BTreeMap<String, String>,
    ) -> Rewritten {
        let as_it_is = |doubts| Rewritten {
            text: value.to_owned(),
            changed: false,
            doubts,
        };
        let upper = name.to_ascii_uppercase();
        let said = HOST_WORDS.iter().any(|w| upper.contains(w));
        let port = port_variable(name, all);
        if !said && port.is_none() {
            let doubt = format!("`{value}` was left: the variable is not called like an address");
            return as_it_is(vec![doubt]);
        }
        let with_port = port
            .and_then(|(_, port)| port.parse::<u16>().ok())
            .and_then(|port| self.at.get(service)?.get(&port));
        match with_port
            .map(SocketAddr::ip)
            .or_else(|| self.whole(service))
        {
            Some(ip) => Rewritten {
                text: ip.to_string(),
                changed: true,
                doubts: Vec::new(),
            },
            None => as_it_is(vec![self.doubt(service)]),
        }
    }

    /// Where a variable leads that is the port of a host in another one.
    fn port_of(
        &self,
        name: &str,
        value: &str,
        all: &BTreeMap<String, String>,
    ) -> Option<&SocketAddr> {
        let port = value.parse::<u16>().ok()?;
        let mut hosts = all
            .iter()
            .filter_map(|(n, v)| Some((n, self.names.find(v)?)));
        let of = |(host, _): &(&String, &str)| {
            port_variable(host, all).is_some_and(|(found, _)| found == name)
        };
        let (_, service) = hosts.find(of)?;
        self.at.get(service)?.get(&port)
    }
}

/// The variable that holds the port of a host's: `DB_PORT` of `DB_HOST`, `PGPORT` of `PGHOST`.
fn port_variable<'e>(
    host: &str,
    all: &'e BTreeMap<String, String>,
) -> Option<(&'e String, &'e String)> {
    let upper = host.to_ascii_uppercase();
    let stem = ["_HOST", "HOST", "_SERVER", "_ADDR", "_ADDRESS"]
        .iter()
        .find_map(|end| upper.strip_suffix(end))
        .unwrap_or(&upper);
    let mut wanted = all.iter().filter(|(name, _)| {
        let name = name.to_ascii_uppercase();
        name == format!("{stem}_PORT") || (!stem.is_empty() && name == format!("{stem}PORT"))
    });
    wanted.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(other_port: bool) -> Book {
        let mut names = Names::default();
        for (name, service) in [
            ("db", "db"),
            ("orders-db", "db"),
            ("redis", "redis"),
            ("shop", "shop"),
            ("api.pay.example", "pay"),
        ] {
            names.add(name, service);
        }
        let at = |ip: &str, port: u16, here: u16| {
            let address = SocketAddr::new(ip.parse().unwrap(), here);
            BTreeMap::from([(port, address)])
        };
        let db = if other_port { 40001 } else { 5432 };
        Book {
            names,
            at: BTreeMap::from([
                ("db".to_owned(), at("127.77.0.1", 5432, db)),
                ("redis".to_owned(), at("127.77.0.2", 6379, 6379)),
                ("shop".to_owned(), at("127.77.0.3", 80, 80)),
                ("pay".to_owned(), at("127.77.0.4", 443, 40443)),
            ]),
        }
    }

    #[test]
    fn a_name_is_a_host_only_where_it_stands_as_one() {
        let book = book(false);
        for (value, wanted) in [
            (
                "postgresql://shop:db@db:5432/shop",
                "postgresql://shop:db@127.77.0.1:5432/shop",
            ),
            ("postgres://db/db?x=db", "postgres://127.77.0.1/db?x=db"),
            ("redis://:pw@REDIS:6379/0", "redis://:pw@127.77.0.2:6379/0"),
            (
                "mongodb://u@db:5432,redis:6379/x",
                "mongodb://u@127.77.0.1:5432,127.77.0.2:6379/x",
            ),
            ("https://api.pay.example", "https://127.77.0.4:40443"),
            (
                "https://api.pay.example/v1?to=http://shop/x",
                "https://127.77.0.4:40443/v1?to=http://shop/x",
            ),
            ("db:5432", "127.77.0.1:5432"),
            ("redis:6379,db:5432", "127.77.0.2:6379,127.77.0.1:5432"),
            (
                "host=db port=5432 dbname=shop user=db",
                "host=127.77.0.1 port=5432 dbname=shop user=db",
            ),
            ("Server=db;Database=shop", "Server=127.77.0.1;Database=shop"),
            (
                "jdbc:postgresql://orders-db:5432/x",
                "jdbc:postgresql://127.77.0.1:5432/x",
            ),
            ("user:db", "user:db"),
            ("shop:tag", "shop:tag"),
            ("db-2:5432", "db-2:5432"),
            ("my.db:5432", "my.db:5432"),
            ("http://other:5432/db", "http://other:5432/db"),
            ("a db b", "a db b"),
            ("größe db:5432 é", "größe 127.77.0.1:5432 é"),
        ] {
            assert_eq!(book.text(value).text, wanted, "{value}");
        }
        let unknown = book.text("http://db:9999/");
        assert_eq!(unknown.text, "http://db:9999/");
        assert_eq!(unknown.doubts, ["`db:9999` is not reached from here"]);
    }

    #[test]
    fn hosts_and_ports_may_be_variables_of_their_own() {
        let env = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = pairs.iter();
            pairs.map(|(n, v)| ((*n).into(), (*v).into())).collect()
        };
        let all = env(&[
            ("DB_HOST", "db"),
            ("DB_PORT", "5432"),
            ("PGHOST", "db"),
            ("PGPORT", "5432"),
            ("DB_NAME", "shop"),
            ("HTTP_PORT", "5432"),
        ]);
        let got = |book: &Book, name: &str| book.variable(name, &all[name], &all).text;
        let same = book(false);
        assert_eq!(got(&same, "DB_HOST"), "127.77.0.1");
        assert_eq!(got(&same, "DB_PORT"), "5432");
        assert_eq!(got(&same, "DB_NAME"), "shop");
        let other = book(true);
        for (name, wanted) in [
            ("DB_HOST", "127.77.0.1"),
            ("DB_PORT", "40001"),
            ("PGHOST", "127.77.0.1"),
            ("PGPORT", "40001"),
            ("HTTP_PORT", "5432"),
        ] {
            assert_eq!(got(&other, name), wanted, "{name}");
        }
        let left = other.variable("CACHE_HOST", "db", &env(&[("CACHE_HOST", "db")]));
        assert!(!left.changed);
        assert!(
            left.doubts[0].contains("5432 at 127.77.0.1:40001"),
            "{left:?}"
        );
    }
}
