//! Hidden dependencies: hosts that values of the spec name and the spec does not describe.

mod hosts;
mod names;
mod search;

use std::collections::BTreeMap;

use self::hosts::Candidate;
pub use self::hosts::is_host_key;
use self::names::Names;
use self::search::Search;
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::{Class, Record, Severity};
use crate::mirror::Mirror;
use crate::project::{Endpoint, Fate, Project};
use crate::source::Span;

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

/// A host that values name, inside of the mirror or outside.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedHost {
    /// Its name or address, in lower case.
    pub host: String,
    /// Its port, where it can be known.
    pub port: Option<u16>,
    /// Whether it belongs to the mirror (loopback and the site's own address do too).
    pub own: bool,
    /// Where it is named.
    pub found: Vec<Mention>,
}

/// All hosts outside of the mirror that its values name.
pub fn find(mirror: &Mirror, project: &Project) -> Vec<External> {
    named(mirror, project)
        .into_iter()
        .filter(|n| !n.own)
        .map(|n| External {
            decision: decide(&n.host, n.port, project),
            host: n.host,
            port: n.port,
            found: n.found,
        })
        .collect()
}

/// All hosts that values of a mirror name.
pub fn named(mirror: &Mirror, project: &Project) -> Vec<NamedHost> {
    let names = Names::of(mirror);
    let mut found: BTreeMap<Candidate, Vec<Mention>> = BTreeMap::new();
    for (key, service) in &mirror.services {
        let mut search = Search {
            service: key,
            found: &mut found,
        };
        search.service(service, mirror, project);
    }
    found
        .into_iter()
        .map(|(c, mentions)| NamedHost {
            own: names.is_own(&c.host),
            host: c.host,
            port: c.port,
            found: mentions,
        })
        .collect()
}

/// The hosts in one text, each with its port where it can be known; `by_key` when the text's
/// name says that it is a host (see [`is_host_key`]).
pub fn hosts_in(text: &str, by_key: bool) -> Vec<(String, Option<u16>)> {
    hosts::candidates(text, by_key)
        .into_iter()
        .map(|c| (c.host, c.port))
        .collect()
}

fn decide(host: &str, port: Option<u16>, project: &Project) -> Decision {
    let of = |e: &crate::project::Egress| match e.fate {
        Fate::Stub { .. } => Decision::Stubbed,
        Fate::Allow => Decision::Allowed,
        Fate::Deny => Decision::Denied,
    };
    project
        .egress
        .iter()
        .find(|e| e.to.host == host && port.is_none_or(|p| p == e.to.port))
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
