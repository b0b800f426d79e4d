//! Differences.

use serde::Serialize;

use super::contents;
use super::fact::{Fact, Value};
use super::facts::means;
use super::mask;
use crate::event::Place;
use crate::source::Span;

/// Everything in which two environments differ.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Comparison {
    /// The differences: those of one object together.
    pub changes: Vec<Change>,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The object: `service:orders`, `network:data`, `volume:db`, `image:…`.
    pub object: String,
    /// The aspect: `image`, `environment`, `security`…
    pub aspect: &'static str,
    /// The field, in the words of the spec, with dots.
    pub field: String,
    /// On which side it is.
    pub kind: Kind,
    /// What the left side says; absent = nothing.
    pub left: Option<Shown>,
    /// What the right side says; absent = nothing.
    pub right: Option<Shown>,
    /// What the difference means.
    pub means: String,
    /// For texts of files: a unified diff without secrets.
    pub diff: Vec<String>,
}

/// On which side something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// On the left side only.
    LeftOnly,
    /// On the right side only.
    RightOnly,
    /// On both, and not the same.
    Differs,
}

/// What a side says, fit to be shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// The value; a secret is only described.
    pub text: String,
    /// Where it says so.
    pub place: Option<Place>,
}

impl Shown {
    pub(super) fn new(text: impl Into<String>, span: &Span) -> Self {
        Self {
            text: text.into(),
            place: span.is_real().then(|| Place::from(span)),
        }
    }

    fn of(fact: &Fact) -> Self {
        let text = match &fact.value {
            Value::Text(text) => mask::references(text),
            Value::Secret { kind, .. } => kind.clone(),
            Value::Lines(text) => {
                let n = text.lines().count();
                format!("{n} line{}", if n == 1 { "" } else { "s" })
            }
            Value::Bytes { length, sha256 } => {
                format!(
                    "{length} bytes, sha256 {}…",
                    &sha256[..sha256.len().min(12)]
                )
            }
        };
        Self::new(text, &fact.span)
    }
}

impl Change {
    /// An object that is on one side only.
    pub(super) fn only(object: &str, kind: Kind, span: &Span) -> Self {
        let what = object.split(':').next().unwrap_or(object);
        let shown = Some(Shown::new(format!("this {what}"), span));
        let (left, right) = match kind {
            Kind::LeftOnly => (shown, None),
            _ => (None, shown),
        };
        Self {
            object: object.to_owned(),
            aspect: "presence",
            field: what.to_owned(),
            kind,
            left,
            right,
            means: format!("the {what} is in one of the environments only"),
            diff: Vec::new(),
        }
    }

    /// A difference of two facts, of which at least one is there.
    pub(super) fn of(object: &str, left: Option<&Fact>, right: Option<&Fact>) -> Option<Self> {
        let any = left.or(right)?;
        let kind = match (left, right) {
            (Some(a), Some(b)) if a.value == b.value => return None,
            (Some(_), Some(_)) => Kind::Differs,
            (Some(_), None) => Kind::LeftOnly,
            _ => Kind::RightOnly,
        };
        let mut means = means(any.aspect, &any.field).to_owned();
        if kind != Kind::Differs && any.aspect == "environment" {
            "what reads it takes its default or fails where it is missing".clone_into(&mut means);
        }
        let mut diff = Vec::new();
        match (left.map(|f| &f.value), right.map(|f| &f.value)) {
            (Some(Value::Lines(a)), Some(Value::Lines(b))) => diff = contents::diff(a, b),
            (Some(Value::Secret { hosts: a, .. }), Some(Value::Secret { hosts: b, .. }))
                if a != b =>
            {
                means = format!("they name other hosts: {} and {}", list(a), list(b));
            }
            _ => {}
        }
        Some(Self {
            object: object.to_owned(),
            aspect: any.aspect,
            field: any.field.clone(),
            kind,
            left: left.map(Shown::of),
            right: right.map(Shown::of),
            means,
            diff,
        })
    }
}

fn list(hosts: &[String]) -> String {
    if hosts.is_empty() {
        "none".to_owned()
    } else {
        hosts.join(", ")
    }
}

/// Adds the differences between the facts of one object.
pub(super) fn between(object: &str, left: Vec<Fact>, right: Vec<Fact>, out: &mut Vec<Change>) {
    let mut right: Vec<Option<Fact>> = right.into_iter().map(Some).collect();
    let mut found: Vec<(&'static str, Change)> = Vec::new();
    for a in &left {
        let same = |b: &&mut Option<Fact>| {
            b.as_ref()
                .is_some_and(|b| b.field == a.field && b.aspect == a.aspect)
        };
        let b = right.iter_mut().find(same).and_then(Option::take);
        found.extend(Change::of(object, Some(a), b.as_ref()).map(|c| (a.aspect, c)));
    }
    for b in right.into_iter().flatten() {
        found.extend(Change::of(object, None, Some(&b)).map(|c| (b.aspect, c)));
    }
    let order = |id: &str| super::ASPECTS.iter().position(|a| a.id == id);
    found.sort_by_key(|(aspect, _)| order(aspect));
    out.extend(found.into_iter().map(|(_, c)| c));
}
