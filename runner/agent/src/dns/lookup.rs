//! Mode `resolve`: what the services of a network namespace are told about a name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use prodmirror_agent::wire::{DnsRecord, Resolved};

use super::client::{exchange_tcp, exchange_udp, in_hosts, servers};
use super::message::{query, type_number};
use super::records::{Answer, code_name};
use crate::output::{Failure, line};

/// Prints the answer for a name and a type.
pub async fn run(args: &[String]) -> Result<u8, Failure> {
    let [name, kind] = args else {
        return Err(Failure::usage("resolve: NAME TYPE"));
    };
    let number = type_number(kind)
        .ok_or_else(|| Failure::usage(format!("resolve: there is no type `{kind}`")))?;
    if query(0, name, number).is_none() {
        return Err(Failure::usage(format!("resolve: `{name}` is no name")));
    }
    let begun = Instant::now();
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let resolved = match from_hosts(&read("/etc/hosts"), name, kind) {
        Some(found) => Ok(found),
        None => ask(&Config::read(&read("/etc/resolv.conf")), name, number).await,
    };
    let mut resolved =
        resolved.map_err(|error| Failure::new(format!("`{name}` cannot be asked for"), error))?;
    resolved.micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    line(&serde_json::to_string(&resolved).unwrap_or_default());
    Ok(0)
}

/// What `/etc/hosts` says, which is looked at first.
fn from_hosts(hosts: &str, name: &str, kind: &str) -> Option<Resolved> {
    let wanted = |address: &IpAddr| match kind {
        "A" => address.is_ipv4(),
        "AAAA" => address.is_ipv6(),
        _ => false,
    };
    let name = name.trim_end_matches('.');
    let found = in_hosts(hosts, name).into_iter().filter(wanted);
    let records: Vec<DnsRecord> = found
        .map(|address| DnsRecord {
            name: name.to_ascii_lowercase(),
            kind: kind.to_owned(),
            ttl: 0,
            data: address.to_string(),
        })
        .collect();
    (!records.is_empty()).then(|| Resolved {
        name: name.to_ascii_lowercase(),
        status: code_name(0),
        source: "hosts".to_owned(),
        records,
        micros: 0,
    })
}

/// What `/etc/resolv.conf` says.
#[derive(Debug, PartialEq, Eq)]
struct Config {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
}

impl Config {
    fn read(text: &str) -> Self {
        let mut config = Self {
            servers: servers(text).take(3).collect(),
            search: Vec::new(),
            ndots: 1,
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                // The last one holds.
                Some("search" | "domain") => {
                    config.search = words.map(|w| w.trim_end_matches('.').to_owned()).collect();
                }
                Some("options") => {
                    let mut dots = words.filter_map(|w| w.strip_prefix("ndots:"));
                    if let Some(n) = dots.next_back().and_then(|n| n.parse().ok()) {
                        config.ndots = n;
                    }
                }
                _ => {}
            }
        }
        config
    }

    /// The names that are asked for, one after the other, until there is an answer.
    fn names(&self, name: &str) -> Vec<String> {
        if let Some(whole) = name.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let suffixes = self.search.iter().filter(|s| !s.is_empty());
        let mut names: Vec<String> = suffixes.map(|s| format!("{name}.{s}")).collect();
        let at = if name.matches('.').count() >= self.ndots {
            0
        } else {
            names.len()
        };
        names.insert(at, name.to_owned());
        names
    }
}

async fn ask(config: &Config, name: &str, number: u16) -> io::Result<Resolved> {
    let mut best: Option<Resolved> = None;
    for name in config.names(name) {
        // A suffix may make it too long to be a name.
        let Some(message) = query(0, &name, number) else {
            continue;
        };
        let answer = exchange(config, message).await?;
        let resolved = Resolved {
            name: name.to_ascii_lowercase(),
            status: code_name(answer.code),
            source: "dns".to_owned(),
            records: answer.records,
            micros: 0,
        };
        if !resolved.records.is_empty() {
            return Ok(resolved);
        }
        // That there is such a name counts more than that there is none.
        if best.as_ref().is_none_or(|b| b.status != code_name(0)) {
            best = Some(resolved);
        }
    }
    best.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Asks one server after the other until one knows something.
async fn exchange(config: &Config, mut message: Vec<u8>) -> io::Result<Answer> {
    let any = Ipv4Addr::UNSPECIFIED;
    let id = std::process::id() as u16 ^ 0x5d17;
    message[..2].copy_from_slice(&id.to_be_bytes());
    let mut failed = Err(io::Error::new(
        io::ErrorKind::NotFound,
        "no DNS server is configured",
    ));
    for server in config.servers.iter().copied() {
        let asked = async {
            let answer = exchange_udp(any, server, &message).await?;
            let read = Answer::read(&answer, id).ok_or(io::ErrorKind::InvalidData)?;
            if !read.truncated {
                return Ok(read);
            }
            let answer = exchange_tcp(any, server, &message).await?;
            let read = Answer::read(&answer, id).ok_or(io::ErrorKind::InvalidData)?;
            Ok::<_, io::Error>(read)
        };
        match asked.await {
            Ok(answer) if matches!(answer.code, 0 | 3) => return Ok(answer),
            Ok(answer) => failed = Ok(answer),
            Err(error) if failed.is_err() => failed = Err(error),
            Err(_) => {}
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_asked_for_in_the_order_of_the_search_list() {
        let config = Config::read(
            "nameserver 127.0.0.11\nsearch shop.svc.cluster.local cluster.local.\noptions edns0 ndots:2\n",
        );
        assert_eq!(config.servers.len(), 1);
        assert_eq!(
            config.names("orders"),
            [
                "orders.shop.svc.cluster.local",
                "orders.cluster.local",
                "orders"
            ]
        );
        assert_eq!(config.names("a.b.c")[0], "a.b.c");
        assert_eq!(config.names("orders."), ["orders"]);
        let bare = Config::read("domain x\nsearch\noptions ndots:many\n");
        assert_eq!((bare.names("a.b"), bare.ndots), (vec!["a.b".to_owned()], 1));
    }

    #[test]
    fn hosts_come_first_for_addresses() {
        let hosts = "10.1.2.3 Db db.corp\nfd00::3 db\n";
        let found = from_hosts(hosts, "DB.", "A").unwrap();
        assert_eq!(
            (found.records.len(), found.records[0].data.as_str()),
            (1, "10.1.2.3")
        );
        assert_eq!(
            from_hosts(hosts, "db", "AAAA").unwrap().records[0].data,
            "fd00::3"
        );
        assert_eq!(from_hosts(hosts, "db", "TXT"), None);
        assert_eq!(from_hosts(hosts, "other", "A"), None);
    }
}
