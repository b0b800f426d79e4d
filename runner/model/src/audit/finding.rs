//! A finding, and how rules write them.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::table::Rule;
use crate::fidelity::Severity;
use crate::source::Span;

/// One thing that will fail in production, or that nobody can be sure of.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static Rule,
    /// How bad it is.
    pub severity: Severity,
    /// The object: `service:db`, `secret:key`, `variables`…
    pub object: String,
    /// The field, in the words of the spec, with dots (`environment.API_KEY`).
    pub field: String,
    /// What is wrong: a lowercase sentence fragment without any secret.
    pub message: String,
    /// Why it fails in production.
    pub why: String,
    /// What to do.
    pub fix: String,
    /// Where.
    pub span: Span,
    /// Other places that matter, each with what it shows.
    pub related: Vec<(Span, String)>,
    /// The same for the same finding wherever its line has moved: 16 hexadecimal digits.
    pub fingerprint: String,
    /// Why the project does not count it, when it does not.
    pub suppressed: Option<String>,
    key: String,
}

impl Serialize for Finding {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let place = self.span.is_real().then_some(&self.span);
        let mut o = s.serialize_struct("Finding", 12)?;
        o.serialize_field("rule", self.rule.id)?;
        o.serialize_field("severity", &self.severity)?;
        o.serialize_field("object", &self.object)?;
        o.serialize_field("field", &self.field)?;
        o.serialize_field("message", &self.message)?;
        o.serialize_field("why", &self.why)?;
        o.serialize_field("fix", &self.fix)?;
        o.serialize_field("file", &place.map(|p| p.file.name.as_str()))?;
        o.serialize_field("line", &place.map(|p| p.line))?;
        o.serialize_field("column", &place.map(|p| p.col))?;
        o.serialize_field("fingerprint", &self.fingerprint)?;
        o.serialize_field("suppressed", &self.suppressed)?;
        o.end()
    }
}

impl Finding {
    /// Sets another severity than the rule's own.
    pub fn severity(&mut self, severity: Severity) -> &mut Self {
        self.severity = severity;
        self
    }

    /// Says more exactly than the rule why it fails.
    pub fn why(&mut self, why: impl Into<String>) -> &mut Self {
        self.why = why.into();
        self
    }

    /// Says more exactly than the rule what to do.
    pub fn fix(&mut self, fix: impl Into<String>) -> &mut Self {
        self.fix = fix.into();
        self
    }

    /// Adds a place that matters.
    pub fn related(&mut self, span: &Span, what: impl Into<String>) -> &mut Self {
        if span.is_real() {
            self.related.push((span.clone(), what.into()));
        }
        self
    }

    /// What tells it from others of the same rule, object and field; no secret, no line.
    pub fn key(&mut self, key: impl Into<String>) -> &mut Self {
        self.key = key.into();
        self
    }
}

/// The findings so far.
#[derive(Debug, Default)]
pub struct Found {
    rule: Option<&'static Rule>,
    list: Vec<Finding>,
}

impl Found {
    /// The rule whose findings come next.
    pub(super) fn begin(&mut self, rule: &'static Rule) {
        self.rule = Some(rule);
    }

    /// Adds a finding about a service.
    pub fn service(
        &mut self,
        service: &str,
        field: impl Into<String>,
        span: &Span,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.add(&format!("service:{service}"), field, span, message)
    }

    /// Adds a finding about any object.
    ///
    /// # Panics
    /// When no rule has begun, which only a mistake in this module can bring about.
    pub fn add(
        &mut self,
        object: &str,
        field: impl Into<String>,
        span: &Span,
        message: impl Into<String>,
    ) -> &mut Finding {
        let rule = self.rule.unwrap_or(&super::table::RULES[0]);
        self.list.push(Finding {
            rule,
            severity: rule.severity,
            object: object.to_owned(),
            field: field.into(),
            message: message.into(),
            why: rule.why.to_owned(),
            fix: rule.fix.to_owned(),
            span: span.clone(),
            related: Vec::new(),
            fingerprint: String::new(),
            suppressed: None,
            key: String::new(),
        });
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// Whether something was found already at the same place.
    pub fn at(&self, rule: &str, span: &Span) -> bool {
        self.list
            .iter()
            .any(|f| f.rule.id == rule && span.is_real() && f.span == *span)
    }

    /// All, each with its fingerprint: those of one object together, the worst object and its
    /// worst findings first.
    pub(super) fn finish(self) -> Vec<Finding> {
        let mut list = self.list;
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for f in &mut list {
            let text = [f.rule.id, &f.object, &f.field, &f.key].join("\0");
            let nth = seen.entry(text.clone()).or_default();
            *nth += 1;
            f.fingerprint = fingerprint(&text, *nth);
        }
        let mut worst: BTreeMap<String, (Severity, usize)> = BTreeMap::new();
        for (i, f) in list.iter().enumerate() {
            let known = worst.entry(f.object.clone()).or_insert((f.severity, i));
            known.0 = known.0.max(f.severity);
        }
        let rank = |f: &Finding| {
            let (severity, first) = worst[&f.object];
            (std::cmp::Reverse(severity), first)
        };
        list.sort_by_key(|f| (rank(f), std::cmp::Reverse(f.severity)));
        list
    }
}

/// The same text for the second of two equal findings must not be that of the first.
fn fingerprint(text: &str, nth: u32) -> String {
    let digest = Sha256::digest(format!("{text}\0{nth}").as_bytes());
    digest.iter().take(8).map(|b| format!("{b:02x}")).collect()
}
