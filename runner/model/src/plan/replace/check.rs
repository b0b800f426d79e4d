//! The health check of a process that took a service's place: production's own where that asks
//! over the network, else whether it takes connections.

use std::time::Duration;

use serde_json::Value as Json;
use url::Url;

use super::super::ContainerPlan;
use super::Replacement;
use crate::stack::extension::{ProbeAction, ProbeSpec};

/// How long the agent may take to start and to end, beside the question's own time.
pub const SLACK: Duration = Duration::from_secs(2);
/// How long a process may take until it answers for the first time.
pub const PATIENCE: Duration = Duration::from_secs(24 * 3600);

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(3);
const RETRIES: u64 = 3;
/// Where the agent asks: its own ports.
const HERE: &str = "127.0.0.1";

/// How the process is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The agent's question, as JSON.
    pub question: String,
    /// Time between two questions.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u64,
}

impl Check {
    /// The check of a container that is replaced.
    pub(super) fn of(container: &ContainerPlan, replacement: &Replacement) -> Self {
        let spec = &container.body["Healthcheck"];
        let test = spec["Test"].as_array();
        let mut words: Vec<String> = test
            .into_iter()
            .flatten()
            .filter_map(|w| w.as_str().map(str::to_owned))
            .collect();
        if words.is_empty() {
            words.clone_from(&replacement.image_check);
        }
        let duration = |key: &str, usual| match spec[key].as_u64() {
            Some(n) if n > 0 => Duration::from_nanos(n),
            _ => usual,
        };
        let mut check = Self {
            question: String::new(),
            interval: duration("Interval", INTERVAL),
            timeout: duration("Timeout", TIMEOUT),
            retries: spec["Retries"]
                .as_u64()
                .filter(|n| *n > 0)
                .unwrap_or(RETRIES),
        };
        let carried = |port: u16| replacement.ports.iter().any(|c| c.port == port);
        let asked = probed(container).filter(|(action, _)| port_of(action).is_some_and(carried));
        let action = match asked {
            Some((action, probe)) => {
                check.interval = Duration::from_secs(probe.period.max(1).into());
                check.timeout = Duration::from_secs(probe.timeout.max(1).into());
                check.retries = probe.failures.map_or(RETRIES, u64::from).max(1);
                Some(action)
            }
            None => over_http(&words).filter(|a| port_of(a).is_some_and(carried)),
        };
        let first = replacement.ports.first().map_or(0, |c| c.port);
        let action = action.unwrap_or_else(|| ProbeAction::Tcp {
            port: first,
            host: HERE.to_owned(),
        });
        check.question = serde_json::to_string(&action).unwrap_or_default();
        check
    }
}

/// The orchestrator's check, when it asks over the network.
fn probed(container: &ContainerPlan) -> Option<(ProbeAction, &ProbeSpec)> {
    let probes = &container.care.probes;
    let all = probes.ready.iter().chain(&probes.startup);
    let here = |host: &String| host.is_empty();
    all.filter_map(|probe| match probe.action.clone() {
        ProbeAction::Http {
            port,
            path,
            tls,
            host,
            headers,
        } if here(&host) => {
            let host = HERE.to_owned();
            let action = ProbeAction::Http {
                port,
                path,
                tls,
                host,
                headers,
            };
            Some((action, probe))
        }
        ProbeAction::Tcp { port, host } if here(&host) => {
            let host = HERE.to_owned();
            Some((ProbeAction::Tcp { port, host }, probe))
        }
        action @ ProbeAction::Grpc { .. } => Some((action, probe)),
        _ => None,
    })
    .next()
}

fn port_of(action: &ProbeAction) -> Option<u16> {
    match action {
        ProbeAction::Exec(_) => None,
        ProbeAction::Http { port, .. }
        | ProbeAction::Tcp { port, .. }
        | ProbeAction::Grpc { port, .. } => Some(*port),
    }
}

/// The question of a command that asks its own container over HTTP (`curl -f http://localhost/up`,
/// `http-ok 8080 /up`).
fn over_http(test: &[String]) -> Option<ProbeAction> {
    let question = |port: u16, path: String, tls: bool| ProbeAction::Http {
        port,
        path,
        tls,
        host: HERE.to_owned(),
        headers: Vec::new(),
    };
    let ends = |c: char| c.is_whitespace() || "'\"`|;&()<>\\,".contains(c);
    for word in test.iter().flat_map(|w| w.split(ends)) {
        let Ok(url) = Url::parse(word) else { continue };
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => continue,
        };
        let own = matches!(
            url.host_str(),
            Some("localhost" | "127.0.0.1" | "0.0.0.0" | "[::1]")
        );
        let Some(port) = url.port_or_known_default().filter(|_| own) else {
            continue;
        };
        let query = url.query().map(|q| format!("?{q}")).unwrap_or_default();
        return Some(question(port, format!("{}{query}", url.path()), tls));
    }
    // A checker of the image's own, that is told the port and the path.
    let words: Vec<&str> = test.iter().map(String::as_str).collect();
    match words.as_slice() {
        [.., program, port, path] if program.contains("http") && path.starts_with('/') => {
            Some(question(port.parse().ok()?, (*path).to_owned(), false))
        }
        _ => None,
    }
}

/// The port that a container's health check asks over HTTP; none when it asks otherwise.
pub fn port_asked(body: &Json, image_check: &[String]) -> Option<u16> {
    let test = body["Healthcheck"]["Test"].as_array();
    let words: Vec<String> = test
        .into_iter()
        .flatten()
        .filter_map(|w| w.as_str().map(str::to_owned))
        .collect();
    let words = if words.is_empty() {
        image_check
    } else {
        &words
    };
    port_of(&over_http(words)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_asks_over_http_is_understood() {
        let of = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            match over_http(&words) {
                Some(ProbeAction::Http {
                    port, path, tls, ..
                }) => format!("{port} {path} {tls}"),
                _ => "-".to_owned(),
            }
        };
        for (words, wanted) in [
            (
                &["CMD", "curl", "-f", "http://127.0.0.1/up"][..],
                "80 /up false",
            ),
            (
                &[
                    "CMD-SHELL",
                    "wget -qO- 'http://localhost:3000/h?a=b' || exit 1",
                ],
                "3000 /h?a=b false",
            ),
            (
                &[
                    "CMD",
                    "python",
                    "-c",
                    "import urllib.request as u; u.urlopen(\"https://localhost:8443/\")",
                ],
                "8443 / true",
            ),
            (&["CMD", "http-ok", "8080", "/health"], "8080 /health false"),
            (&["CMD", "curl", "http://other:80/"], "-"),
            (&["CMD", "pg_isready", "5432", "/tmp"], "-"),
            (&["CMD-SHELL", "pg_isready -h 127.0.0.1"], "-"),
            (&["NONE"], "-"),
            (&[], "-"),
        ] {
            assert_eq!(of(words), wanted, "{words:?}");
        }
    }
}
