//! Where the requests go: to the mirror, whatever host they were recorded from.

use std::collections::BTreeSet;

use prodmirror_model::diag::{Problem, ProblemKind};

use super::draft::split_url;
use crate::cmd::Session;
use crate::look_at;

/// What is known of the hosts of the mirror.
#[derive(Debug, Default)]
pub struct Hosts {
    /// Scheme and host that take the place of others.
    base: Option<String>,
    /// Names that steps can reach as they are.
    known: BTreeSet<String>,
    /// Services with the images that they run, in order.
    pub services: Vec<(String, String)>,
    /// Services that publish ports, as URLs.
    published: Vec<String>,
    /// What became of hosts: said once for each.
    said: BTreeSet<String>,
    given: bool,
}

impl Hosts {
    /// By `--host`, else by what production publishes.
    ///
    /// # Errors
    /// `--host` is no URL.
    pub fn new(session: &Session, given: Option<&str>) -> Result<Self, Problem> {
        let mut hosts = Self::default();
        if let Ok(looked) = look_at::project(&session.global, &session.context) {
            for (name, service) in &looked.compiled.production.services {
                let image = service.image.reference.as_ref();
                let image = image.map_or(String::new(), |i| i.value.clone());
                hosts.services.push((name.clone(), image));
                hosts.known.insert(name.clone());
                let attached = service.network.attachments.values();
                let aliases = attached.flat_map(|a| &a.aliases).map(|a| a.value.clone());
                hosts.known.extend(aliases);
                let port = service.network.ports.iter().find_map(|p| {
                    let protocol = p
                        .value
                        .protocol
                        .as_ref()
                        .map_or("tcp", |s| s.value.as_str());
                    let target = p.value.target.as_ref().map(|t| t.value);
                    target.filter(|_| protocol == "tcp")
                });
                if let Some(port) = port {
                    hosts.published.push(match port {
                        80 => format!("http://{name}"),
                        443 => format!("https://{name}"),
                        port => format!("http://{name}:{port}"),
                    });
                }
            }
            let declared = looked.project.egress.iter().map(|e| e.to.host.clone());
            hosts.known.extend(declared);
        }
        hosts.base = match given {
            Some(url) => {
                let whole = match url.contains("://") {
                    true => url.to_owned(),
                    false => format!("http://{url}"),
                };
                let (base, rest) = split_url(whole.trim_end_matches('/'));
                let ok = base.starts_with("http://") || base.starts_with("https://");
                if !ok || !rest.is_empty() || base.ends_with("://") {
                    return Err(Problem::new(
                        ProblemKind::InvalidValue,
                        format!("`{url}` is not a base URL"),
                    )
                    .help("for example http://gateway:8080"));
                }
                hosts.given = true;
                Some(base.to_owned())
            }
            None => match &hosts.published[..] {
                [one] => Some(one.clone()),
                _ => None,
            },
        };
        Ok(hosts)
    }

    /// The base URL that stands for production's front door.
    pub fn front(&self) -> &str {
        match (&self.base, self.published.first()) {
            (Some(base), _) => base,
            (None, Some(first)) => first,
            (None, None) => "http://gateway",
        }
    }

    /// The base URL that was said, or that there is only one of.
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Base URLs of services that publish ports.
    pub fn published(&self) -> &[String] {
        &self.published
    }

    /// Whether steps can reach the host of a URL as it is.
    pub fn knows(&self, url: &str) -> bool {
        self.known.contains(host_of(url))
    }

    /// A URL to send the request to, with what became of its host.
    pub fn rewrite(&mut self, url: &str, warnings: &mut Vec<String>) -> String {
        let (base, rest) = split_url(url);
        if self.knows(url) && !self.given {
            return url.to_owned();
        }
        let rest = match rest.starts_with('/') {
            true => rest.to_owned(),
            false => format!("/{rest}"),
        };
        match &self.base {
            Some(new) if new != base => {
                if self.said.insert(base.to_owned()) {
                    warnings.push(format!(
                        "requests to {base} are sent to {new} of the mirror"
                    ));
                }
                format!("{new}{rest}")
            }
            Some(_) => format!("{base}{rest}"),
            None => {
                if self.said.insert(base.to_owned()) {
                    let why = match self.published.len() {
                        0 => "no service of the project publishes a port".to_owned(),
                        _ => format!("several services do ({})", self.published.join(", ")),
                    };
                    warnings.push(format!(
                        "nothing says which service serves {base}: {why}; \
                         say it with --host http://SERVICE:PORT"
                    ));
                }
                format!("{base}{rest}")
            }
        }
    }
}

/// The host of a URL, without user and port.
fn host_of(url: &str) -> &str {
    let (base, _) = split_url(url);
    let host = base.split_once("://").map_or(base, |(_, h)| h);
    let host = host.rsplit_once('@').map_or(host, |(_, h)| h);
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}
