//! Events that the agent prints: JSON Lines on stdout.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One line of the agent's output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case")]
pub enum Event {
    /// The mode does its work from now on.
    Ready(Ready),
    /// The mode cannot do its work; the program exits.
    Error {
        /// What could not be done.
        what: String,
        /// The cause.
        why: String,
    },
    /// Something is missing, the mode works on.
    Warning {
        /// What is missing.
        what: String,
        /// The cause.
        why: String,
    },
    /// Sandbox: an attempt to leave the stack was rejected.
    Denied {
        /// `tcp`, `udp`, `icmp`, `icmpv6` or the protocol's number.
        proto: String,
        /// The destination.
        dst: IpAddr,
        /// The destination's port, where the protocol has one.
        port: Option<u16>,
        /// Which rule rejected it.
        why: DeniedWhy,
        /// How often so far.
        count: u64,
    },
    /// Sandbox: a name that nobody declared was asked for.
    Dns {
        /// The name in lower case, without the last dot.
        name: String,
        /// `A`, `AAAA`, `PTR`, … or `TYPEn`.
        qtype: String,
        /// The answer: `nxdomain`.
        verdict: String,
    },
    /// Sandbox: too many different events of a kind; no new ones will be reported.
    Overflow {
        /// Which kind.
        of: LogKind,
    },
    /// Stub: a request was answered.
    StubRequest {
        /// The stub's name.
        stub: String,
        /// The port it came to.
        port: u16,
        /// The client's address.
        from: IpAddr,
        /// HTTP method.
        method: String,
        /// Path without the query.
        path: String,
        /// Status of the answer.
        status: u16,
        /// Milliseconds from the request's head to the answer, delays included.
        ms: f64,
        /// Index of the route; none when the default answered.
        route: Option<usize>,
    },
    /// Stub: a connection came to a raw port.
    StubConnection {
        /// The stub's name.
        stub: String,
        /// The port it came to.
        port: u16,
        /// The client's address.
        from: IpAddr,
        /// What the port does.
        kind: super::RawKind,
    },
    /// Stub: a connection was no use (a failed TLS handshake, no valid HTTP).
    StubRefused {
        /// The stub's name.
        stub: String,
        /// The port it came to.
        port: u16,
        /// The client's address.
        from: IpAddr,
        /// The cause.
        why: String,
    },
    /// Stub: a message was taken.
    StubMail {
        /// The stub's name.
        stub: String,
        /// The port it came to.
        port: u16,
        /// The client's address.
        from: IpAddr,
        /// The message's number.
        id: u64,
        /// The sender of its envelope.
        sender: String,
        /// The first recipients of its envelope.
        recipients: Vec<String>,
        /// Its bytes.
        size: usize,
    },
    /// Relay: a connection to its destination ended.
    Relayed {
        /// The relay's name.
        relay: String,
        /// The client's address.
        from: IpAddr,
        /// The destination, `host:port`.
        to: String,
        /// Why it did not come about, or broke.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// Keeper: the lease lapsed, removal begins.
    Lapsed {
        /// The run.
        run: String,
        /// What showed that the runner is gone.
        why: String,
    },
    /// Keeper: an object was removed.
    Removed {
        /// `container`, `network` or `volume`.
        kind: String,
        /// Id (the name for volumes).
        id: String,
        /// Name.
        name: String,
    },
    /// Keeper: removal ended.
    Done {
        /// The run.
        run: String,
        /// Number of removed objects.
        removed: usize,
        /// Number of objects that could not be removed in time.
        left: usize,
    },
    /// Keeper: the lease was given back, nothing was removed.
    Released {
        /// The run.
        run: String,
    },
    /// Limits: those that this container was given.
    Limits {
        /// How many files a process may have open at most (the hard `RLIMIT_NOFILE`); none =
        /// as many as it likes.
        nofile: Option<u64>,
    },
    /// Probe: what came of it.
    Probe {
        /// Whether it worked.
        ok: bool,
        /// What was done.
        what: String,
        /// Milliseconds it took.
        ms: f64,
        /// The answer, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<String>,
        /// The cause of a failure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
}

/// What a mode says of itself when it is ready.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The mode's name.
    pub mode: String,
    /// Version of the agent.
    pub version: String,
    /// Sandbox: the guard is in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<bool>,
    /// Sandbox: the DNS sink answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<bool>,
    /// Sandbox: the DNS sink stands before the engine's resolver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_front: Option<bool>,
    /// Sandbox: rejected attempts are reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_events: Option<bool>,
    /// Sandbox: frames that programs write themselves are kept in (from Linux 5.16 on).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<bool>,
    /// Stub and relay: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Stub and relay: the ports it listens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<u16>>,
    /// Keeper: the run it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

impl Ready {
    /// `mode` is ready; nothing more is said.
    pub fn new(mode: &str) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self {
            mode: mode.to_owned(),
            version,
            ..Self::default()
        }
    }
}

/// Which rule of the guard rejected a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeniedWhy {
    /// To the engine's host, at its address in a network of the stack.
    Gateway,
    /// To a network's broadcast address, which the engine's host hears too.
    Broadcast,
    /// To anything that is not part of the stack.
    Outside,
    /// To a part of the stack that production does not let it reach.
    Link,
}

/// Kinds of events that are reported once each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// [`Event::Denied`]
    Denied,
    /// [`Event::Dns`]
    Dns,
}

impl Event {
    /// A `ready` event of `mode` with none of its optional facts.
    pub fn ready(mode: &str) -> Self {
        Self::Ready(Ready::new(mode))
    }

    /// Reads one line of output; `None` for a line that is no event.
    pub fn parse(line: &str) -> Option<Self> {
        // By way of a value: numbers of arbitrary precision do not pass through the
        // buffer of a tagged enum.
        serde_json::from_str::<serde_json::Value>(line.trim())
            .and_then(serde_json::from_value)
            .ok()
    }

    /// The event as one line, without the line's end.
    pub fn to_line(&self) -> String {
        // Every field is a plain value: nothing here can fail to be written as JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_back() {
        let event = Event::Denied {
            proto: "tcp".into(),
            dst: "93.184.216.34".parse().unwrap(),
            port: Some(443),
            why: DeniedWhy::Outside,
            count: 1,
        };
        let line = event.to_line();
        assert_eq!(
            line,
            r#"{"ev":"denied","proto":"tcp","dst":"93.184.216.34","port":443,"why":"outside","count":1}"#
        );
        assert_eq!(Event::parse(&line), Some(event));
        assert_eq!(Event::parse("not an event"), None);
    }

    #[test]
    fn ready_says_only_what_the_mode_knows() {
        let line = Event::ready("hold").to_line();
        assert_eq!(
            line,
            format!(
                r#"{{"ev":"ready","mode":"hold","version":"{}"}}"#,
                env!("CARGO_PKG_VERSION")
            )
        );
    }
}
