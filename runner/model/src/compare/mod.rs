//! The comparison of two environments: what differs between them, by service, each difference
//! with its places on both sides.
//!
//! Each side is taken apart into [`Fact`]s, by one small function for each [`Aspect`]; two
//! sides differ where a fact is on one side only or says something else.

mod change;
mod contents;
mod fact;
mod facts;
pub mod fingerprint;
mod mask;
mod objects;
mod probed;
mod provided;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use change::{Change, Comparison, Kind, Shown};
pub use fact::{Aspect, Fact, Value};
pub use facts::ASPECTS;
pub use fingerprint::Fingerprint;
pub use provided::{Provided, provided};

use self::fact::Case;
use crate::mirror::Mirror;
use crate::policy::externals;
use crate::project::Project;
use crate::source::Span;
use crate::spec::Beyond;

/// One of the environments that are compared.
#[derive(Debug, Clone, Copy)]
pub struct Side<'s> {
    /// What runs there, with references in the place of secrets.
    pub mirror: &'s Mirror,
    /// What its files say beyond Compose.
    pub beyond: &'s Beyond,
    /// The project that reads it.
    pub project: &'s Project,
    /// What is inside of its images, by reference, where somebody looked.
    pub fingerprints: &'s BTreeMap<String, Fingerprint>,
}

/// Compares two environments.
pub fn compare(left: Side<'_>, right: Side<'_>) -> Comparison {
    let mut changes = Vec::new();
    let mut cases = (Cases::of(left), Cases::of(right));
    let mut names: Vec<String> = cases.0.order.clone();
    names.extend(
        cases
            .1
            .order
            .iter()
            .filter(|n| !cases.0.order.contains(n))
            .cloned(),
    );
    for name in &names {
        let object = format!("service:{name}");
        let (a, b) = (cases.0.facts.remove(name), cases.1.facts.remove(name));
        match (a, b) {
            (Some(a), Some(b)) => change::between(&object, a, b, &mut changes),
            (Some(_), None) => {
                changes.push(Change::only(&object, Kind::LeftOnly, &place(left, name)))
            }
            (None, _) => changes.push(Change::only(&object, Kind::RightOnly, &place(right, name))),
        }
    }
    provided::tell(left, right, &mut changes);
    objects::compare(left.mirror, right.mirror, &mut changes);
    probed::compare(left, right, &names, &mut changes);
    Comparison { changes }
}

fn place(side: Side<'_>, service: &str) -> Span {
    let service = side.mirror.services.get(service);
    service.map_or_else(Span::generated, |s| s.name.span.clone())
}

/// The facts of all services of a side.
struct Cases {
    order: Vec<String>,
    facts: BTreeMap<String, Vec<Fact>>,
}

impl Cases {
    fn of(side: Side<'_>) -> Self {
        let externals = externals::find(side.mirror, side.project);
        let document = side.mirror.to_compose();
        let mut out = Self {
            order: Vec::new(),
            facts: BTreeMap::new(),
        };
        let services = side.mirror.services.iter();
        for (name, service) in services.filter(|(n, _)| !side.beyond.is_ours(n)) {
            let mut case = Case {
                name,
                service,
                side,
                externals: &externals,
                document: &document["services"][name],
                aspect: ASPECTS[0].id,
                facts: Vec::new(),
            };
            for aspect in ASPECTS {
                case.aspect = aspect.id;
                (aspect.facts)(&mut case);
            }
            out.order.push(name.clone());
            out.facts.insert(name.clone(), case.facts);
        }
        out
    }
}
