//! Fidelity: for each fact of production, whether the mirror has it, has a stand-in for it,
//! or goes without.
//!
//! The policy and the planner write records of what they decide; what is read back from the
//! running containers is compared later and written with the same type.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::diag::{Problem, ProblemKind};
use crate::event::Place;
use crate::project::{Accept, FidelityGate};
use crate::source::Span;

/// What became of a fact of production.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It is the same in the mirror.
    Mirrored,
    /// Another value or mechanism serves the same purpose.
    Substituted,
    /// It has no effect in the mirror.
    Dropped,
    /// The spec does not say enough to know.
    Unknown,
}

/// What a test could wrongly conclude from a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing.
    Info,
    /// Little.
    Low,
    /// Something about this field.
    Medium,
    /// That something works which fails in production, or the other way round.
    High,
    /// The service cannot do its work here.
    Blocker,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Blocker => "blocker",
        })
    }
}

/// One fact of production and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// The object: `service:db`, `volume:data`, `network:default`…
    pub object: String,
    /// The field, in the words of the spec, with dots (`logging.driver`, `volumes[/data]`).
    pub field: String,
    /// What became of it.
    pub class: Class,
    /// What a test could wrongly conclude.
    pub severity: Severity,
    /// What production says; secrets as `***`.
    pub declared: String,
    /// What the mirror has; empty = nothing.
    pub actual: String,
    /// Why it differs.
    pub reason: String,
    /// What would bring the mirror nearer to production; empty = nothing would.
    pub raise: String,
    /// Name of the rule that decided.
    pub rule: String,
    /// Where production says it.
    pub place: Option<Place>,
    /// Why the project accepts the difference, when it does.
    pub accepted: Option<String>,
}

impl Record {
    /// A record without details.
    pub fn new(
        object: impl Into<String>,
        field: impl Into<String>,
        class: Class,
        severity: Severity,
    ) -> Self {
        Self {
            object: object.into(),
            field: field.into(),
            class,
            severity,
            declared: String::new(),
            actual: String::new(),
            reason: String::new(),
            raise: String::new(),
            rule: String::new(),
            place: None,
            accepted: None,
        }
    }

    /// Where production says it.
    #[must_use]
    pub fn at(mut self, span: &Span) -> Self {
        if span.is_real() {
            self.place = Some(Place::from(span));
        }
        self
    }
}

/// All records of a mirror.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Fidelity {
    /// In the order of the spec.
    pub records: Vec<Record>,
}

impl Fidelity {
    /// Takes over records of a later phase. Where an earlier phase has said something about the
    /// same field of the same object, that stays: it knows production's own value.
    pub fn add(&mut self, later: impl IntoIterator<Item = Record>) {
        for record in later {
            let known = |r: &Record| r.object == record.object && r.field == record.field;
            if !self.records.iter().any(known) {
                self.records.push(record);
            }
        }
    }

    /// Marks the differences that the project accepts.
    pub fn accept(&mut self, gate: &FidelityGate) {
        for record in &mut self.records {
            let accepted = gate.accept.iter().find(|a| a.names(record));
            record.accepted = accepted.map(|a| a.because.clone());
        }
    }

    /// A warning of each `accept` that names nothing in which the mirror differs: it would hide
    /// the next difference there.
    pub fn stale(&self, gate: &FidelityGate) -> Vec<Problem> {
        let differs = |a: &Accept| {
            let mut records = self.records.iter();
            records.any(|r| r.class != Class::Mirrored && a.names(r))
        };
        let stale = gate.accept.iter().filter(|a| !differs(a));
        stale
            .map(|a| {
                let of = a.on.as_ref().map_or(String::new(), |on| format!(" of `{}`", on.value));
                let what = format!(
                    "`fidelity.accept` names `{}`{of}, where the mirror does not differ from production",
                    a.field.value
                );
                Problem::at(ProblemKind::UnknownReference, &a.field.span, what)
                    .warning()
                    .help("take it out: it would hide the next difference there")
            })
            .collect()
    }

    /// How many facts are mirrored.
    pub fn mirrored(&self) -> u32 {
        let mirrored = self.records.iter().filter(|r| r.class == Class::Mirrored);
        u32::try_from(mirrored.count()).unwrap_or(u32::MAX)
    }

    /// How many differences of each severity there are that nobody accepted.
    pub fn totals(&self) -> BTreeMap<Severity, u32> {
        let mut totals = BTreeMap::new();
        for r in &self.records {
            if r.class != Class::Mirrored && r.accepted.is_none() {
                *totals.entry(r.severity).or_default() += 1;
            }
        }
        totals
    }

    /// The severities of which there are more than the project lets pass: each with how many
    /// there are and how many may be. Blockers may not be unless the project says so.
    pub fn over(&self, gate: &FidelityGate) -> Vec<(Severity, u32, u32)> {
        let limits = [
            (Severity::Blocker, Some(gate.allow.blocker.unwrap_or(0))),
            (Severity::High, gate.allow.high),
            (Severity::Medium, gate.allow.medium),
            (Severity::Low, gate.allow.low),
        ];
        let totals = self.totals();
        limits
            .into_iter()
            .filter_map(|(severity, limit)| {
                let found = totals.get(&severity).copied().unwrap_or(0);
                let limit = limit?;
                (found > limit).then_some((severity, found, limit))
            })
            .collect()
    }
}

impl Accept {
    /// Whether it is about this record.
    fn names(&self, record: &Record) -> bool {
        let on = self.on.as_ref().is_none_or(|on| {
            let name = record.object.split_once(':').map_or("", |(_, name)| name);
            on.as_str() == record.object || on.as_str() == name
        });
        on && covers(&self.field, &record.field)
    }
}

/// Whether a field is another one or stands above it (`volumes` covers `volumes[/data]`).
fn covers(above: &str, field: &str) -> bool {
    field
        .strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{Accept, Limits};
    use crate::yaml::Spanned;

    #[test]
    fn what_was_said_first_stays() {
        let record = |declared: &str| {
            let mut r = Record::new(
                "service:db",
                "ports[80]",
                Class::Substituted,
                Severity::Info,
            );
            r.declared = declared.into();
            r
        };
        let mut f = Fidelity::default();
        f.add([record("0.0.0.0:80"), record("127.0.0.1:80")]);
        assert_eq!(f.records.len(), 1);
        assert_eq!(f.records[0].declared, "0.0.0.0:80");
    }

    #[test]
    fn accepted_differences_do_not_count() {
        let high = |object: &str, field: &str| {
            Record::new(object, field, Class::Substituted, Severity::High)
        };
        let mut f = Fidelity {
            records: vec![
                high("service:db", "volumes[/data]"),
                high("service:web", "volumes[/data]"),
                high("service:db", "volumes_from"),
            ],
        };
        let gate = FidelityGate {
            allow: Limits {
                high: Some(1),
                ..Limits::default()
            },
            accept: vec![Accept {
                on: Some(Spanned::new("db".into(), Span::generated())),
                field: Spanned::new("volumes".into(), Span::generated()),
                because: "known".into(),
            }],
        };
        f.accept(&gate);
        assert_eq!(f.records[0].accepted.as_deref(), Some("known"));
        assert_eq!(f.over(&gate), [(Severity::High, 2, 1)]);
        assert!(f.stale(&gate).is_empty());
        f.records[0].class = Class::Mirrored;
        assert!(
            f.stale(&gate)[0]
                .message
                .contains("names `volumes` of `db`")
        );
    }
}
