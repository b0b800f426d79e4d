//! Names of services and hosts that steps use, checked before anything starts.

use std::collections::{BTreeMap, BTreeSet};

use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::source::Span;
use prodmirror_model::template::Text;
use prodmirror_model::yaml::Spanned;
use url::Url;

/// What a name must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A service, whose containers are meant (`exec`, `logs`).
    Service,
    /// A host name in the stack: a service, an alias, a stub, a declared name.
    Host,
}

/// A name that a step uses.
#[derive(Debug, Clone)]
pub struct Target {
    /// The name.
    pub name: String,
    /// The port, when it is said.
    pub port: Option<u16>,
    /// What it must be.
    pub kind: TargetKind,
    /// Where it stands.
    pub span: Span,
}

impl Target {
    /// A service, whose containers are meant.
    pub(super) fn service(name: &Spanned<String>) -> Self {
        Self {
            name: name.value.clone(),
            port: None,
            kind: TargetKind::Service,
            span: name.span.clone(),
        }
    }

    /// A host, and perhaps the port of it that is meant.
    pub(super) fn host(name: &Spanned<String>, port: impl Into<Option<u16>>) -> Self {
        Self {
            name: name.value.clone(),
            port: port.into(),
            kind: TargetKind::Host,
            span: name.span.clone(),
        }
    }

    /// The host of a URL, where no template stands in its place: one in the path leaves the
    /// host plain.
    pub(super) fn of_url(url: &Text) -> Option<Self> {
        let (scheme, rest) = url.source().split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains("{{") {
            return None;
        }
        let parsed = Url::parse(&format!("{scheme}://{authority}/")).ok()?;
        Some(Self {
            name: parsed.host_str()?.trim_matches(['[', ']']).to_owned(),
            port: parsed.port_or_known_default(),
            kind: TargetKind::Host,
            span: url.span().clone(),
        })
    }
}

/// The names that a stack will have.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Services.
    pub services: BTreeSet<String>,
    /// Other host names: aliases, container names, stubs, declared names.
    pub hosts: BTreeSet<String>,
    /// The ports of declared names: nothing answers on any other.
    pub ports: BTreeMap<String, BTreeSet<u16>>,
}

/// Reports every name that the stack will not have.
pub fn check_targets(targets: &[Target], known: &Known) -> Vec<Problem> {
    let mut problems = Vec::new();
    for t in targets {
        let there = known.services.contains(&t.name)
            || (t.kind == TargetKind::Host && known.hosts.contains(&t.name));
        if there {
            problems.extend(wrong_port(t, known));
            continue;
        }
        let (what, all): (&str, Vec<&str>) = match t.kind {
            TargetKind::Service => (
                "service",
                known.services.iter().map(String::as_str).collect(),
            ),
            TargetKind::Host => (
                "host",
                known
                    .services
                    .union(&known.hosts)
                    .map(String::as_str)
                    .collect(),
            ),
        };
        let p = Problem::at(
            ProblemKind::UnknownReference,
            &t.span,
            format!("the stack has no {what} `{}`", t.name),
        );
        problems.push(match nearest(&t.name, all.iter().copied()) {
            Some(n) => p.help(format!("did you mean `{n}`?")),
            None if t.kind == TargetKind::Host => p.help(format!(
                "steps reach services ({}) and names that `egress` of mirror.yaml declares",
                all.join(", ")
            )),
            None => p.help(format!("services: {}", all.join(", "))),
        });
    }
    problems
}

/// A port on which a declared name does not answer. What services listen on is not known before
/// they run.
fn wrong_port(t: &Target, known: &Known) -> Option<Problem> {
    let ports = known.ports.get(&t.name)?;
    let port = t.port.filter(|p| !ports.contains(p))?;
    let all: Vec<String> = ports.iter().map(u16::to_string).collect();
    let text = format!(
        "`{}` is declared with port {}, and not {port}",
        t.name,
        all.join(", ")
    );
    Some(
        Problem::at(ProblemKind::UnknownReference, &t.span, text).help(format!(
            "use that port, or declare `{}:{port}` under `egress` of mirror.yaml",
            t.name
        )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_not_declared_is_told_and_one_of_a_service_is_not() {
        let target = |name: &str, port| Target {
            name: name.into(),
            port: Some(port),
            kind: TargetKind::Host,
            span: Span::generated(),
        };
        let known = Known {
            services: ["db".to_owned()].into(),
            hosts: ["api.example".to_owned()].into(),
            ports: [("api.example".to_owned(), [443].into())].into(),
        };
        let targets = [
            target("db", 1),
            target("api.example", 443),
            target("api.example", 80),
        ];
        let problems = check_targets(&targets, &known);
        let said: Vec<&str> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(
            said,
            ["`api.example` is declared with port 443, and not 80"]
        );
    }
}
