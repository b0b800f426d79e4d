//! What is opened on this host to a mirror of `up`: ports on loopback, a proxy, addresses with
//! names of production, debuggers' ports.

mod ask;
mod debugger;
mod hosts;
mod list;
mod pac;
mod proxy;
mod tell;

use std::net::{IpAddr, SocketAddr};

use prodmirror_engine::reach::{Forward, Forwards, Reach, Why};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::PortPlan;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use ask::{ask, ports_by_service};
pub use debugger::{Mirror, open as open_debuggers};
pub use hosts::{Hosts, Line};
pub use list::{forget, read, write};
pub use tell::{line, rows, tell};

/// What is to be opened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Ports that the specs publish.
    pub declared: Vec<Port>,
    /// Ports that were asked for by name.
    pub published: Vec<Port>,
    /// Ports for debuggers.
    pub debuggers: Vec<Port>,
    /// Where the proxy listens.
    pub proxy: Option<SocketAddr>,
    /// Addresses for the names of production.
    pub hosts: Option<Hosts>,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Service.
    pub service: String,
    /// Port in it.
    pub target: u16,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
    /// The host port that the spec declares, when it is a single number.
    pub published: Option<u16>,
}

impl Port {
    /// A port of TCP.
    pub fn tcp(service: &str, target: u16) -> Self {
        Self {
            service: service.to_owned(),
            target,
            protocol: "tcp".to_owned(),
            published: None,
        }
    }

    fn plan(&self) -> PortPlan {
        PortPlan {
            target: self.target,
            protocol: self.protocol.clone(),
            published: self.published,
        }
    }
}

impl Asked {
    /// Whether nothing is to be opened.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is open; all of it closes when this is dropped.
#[derive(Debug, Default)]
pub struct Doors {
    /// What it is, for people and for `ports`.
    pub listed: Listed,
    _forwards: Forwards,
    _tasks: JoinSet<()>,
}

/// What is open, as it is written down for `ports`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Forwarded ports.
    pub forwards: Vec<Forward>,
    /// Where the proxy listens.
    pub proxy: Option<SocketAddr>,
    /// A name of production that answers HTTP, to show.
    pub example: Option<String>,
    /// Lines for the file of hosts.
    pub lines: Vec<Line>,
    /// What else there is to say of hosts.
    pub hosts: Option<Hosts>,
    /// What is not open, with the reason.
    pub skipped: Vec<String>,
}

impl Listed {
    /// The same but for debuggers' ports, of which was told before.
    pub fn without_debuggers(&self) -> Self {
        let mut listed = self.clone();
        listed.forwards.retain(|f| f.why != Why::Debugger);
        listed
    }
}

impl Doors {
    /// Opens what was asked for. `forwards` are those that are open already.
    pub async fn open(asked: &Asked, reach: &Reach, mut forwards: Forwards) -> Self {
        let mut listed = Listed::default();
        let mut tasks = JoinSet::new();
        let all = asked.declared.iter().map(|p| (p, Why::Declared));
        let all = all.chain(asked.published.iter().map(|p| (p, Why::Asked)));
        for (port, why) in all {
            if reach.knows(&port.service) {
                forwards
                    .publish(reach, &port.service, &port.plan(), why)
                    .await;
            } else if why == Why::Asked {
                let what = format!(
                    "{}:{} is not forwarded: the service was not started, or has no network",
                    port.service, port.target
                );
                forwards.skip(what);
            }
        }
        if let Some(hosts) = &asked.hosts {
            listed.lines = hosts.open(reach, &mut forwards).await;
            if let Err(why) = hosts.write(&listed.lines) {
                forwards.skip(why);
            }
            listed.hosts = Some(hosts.clone());
        }
        if let Some(at) = asked.proxy {
            match proxy::open(at, reach.clone(), &mut tasks).await {
                Ok(here) => listed.proxy = Some(here),
                Err(e) => forwards.skip(format!("the proxy at {at} is not open: {e}")),
            }
            listed.example = example(asked, reach);
        }
        listed.forwards = forwards.list().to_vec();
        listed.skipped = forwards.skipped().to_vec();
        Self {
            listed,
            _forwards: forwards,
            _tasks: tasks,
        }
    }
}

/// A name that probably answers HTTP: one whose port is published, and the most usual one.
fn example(asked: &Asked, reach: &Reach) -> Option<String> {
    let usual = |p: &&Port| match p.target {
        80 => 0,
        443 | 8443 => 3,
        8000..=8999 | 3000 | 5000 => 1,
        _ => 2,
    };
    let known = asked.declared.iter().filter(|p| reach.knows(&p.service));
    known.min_by_key(usual).map(|p| match p.target {
        80 => format!("http://{}/", p.service),
        443 => format!("https://{}/", p.service),
        port => format!("http://{}:{port}/", p.service),
    })
}

/// Reads where to listen: `127.0.0.1:4711`, `localhost:4711`, `[::1]:4711` or `4711`. `option`
/// is what messages call it.
///
/// # Errors
/// It is no address, or not on loopback.
pub fn loopback(option: &str, text: &str) -> Result<SocketAddr, Problem> {
    let invalid = |why: &str| {
        let what = format!("`{option} {text}` {why}");
        Problem::new(ProblemKind::InvalidValue, what)
            .help(format!("for example {option} 127.0.0.1:4711"))
    };
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::new(
            IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            port,
        ));
    }
    let whole = text.replacen("localhost:", "127.0.0.1:", 1);
    let address: SocketAddr = whole.parse().map_err(|_| invalid("is no address"))?;
    if !address.ip().is_loopback() {
        return Err(invalid(
            "is not on loopback: other hosts could reach the mirror",
        ));
    }
    Ok(address)
}

/// Whether a port of this host can be listened at: asked before anything is started.
///
/// # Errors
/// It cannot.
pub async fn is_free(option: &str, at: SocketAddr) -> Result<(), Problem> {
    let bound = TcpListener::bind(at).await;
    bound.map(drop).map_err(|e| {
        let what = format!(
            "cannot listen on {at}: {}",
            prodmirror_model::source::io_reason(&e)
        );
        Problem::new(ProblemKind::Conflict, what).help(format!(
            "name another address with {option}, or none for a free port"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_host_can_ask() {
        let listen = |text: &str| loopback("--listen", text);
        for (text, wanted) in [
            ("4711", "127.0.0.1:4711"),
            ("0", "127.0.0.1:0"),
            ("localhost:80", "127.0.0.1:80"),
            ("127.0.0.9:1", "127.0.0.9:1"),
            ("[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(listen(text).unwrap().to_string(), wanted);
        }
        for (text, why) in [
            ("0.0.0.0:80", "is not on loopback"),
            ("[::]:80", "is not on loopback"),
            ("70000", "is no address"),
            ("127.0.0.1", "is no address"),
            ("gateway:80", "is no address"),
            ("", "is no address"),
        ] {
            let p = listen(text).unwrap_err();
            assert!(p.message.contains(why), "{text}: {}", p.message);
        }
    }
}
