//! Matchers: a source and what is asked of it.

use super::filter::Filters;
use super::predicate::{self, Asked, Finding};
use super::source::{Source, all_sources, is_source};
use crate::diag::{Problem, ProblemKind, nearest};
use crate::event::{Mismatch, Place};
use crate::source::Span;
use crate::template::{Document, Scope};
use crate::yaml::{Mapping, Node};

/// A compiled matcher.
#[derive(Debug)]
pub struct Matcher {
    source: Source,
    filters: Filters,
    asked: Vec<Asked>,
    span: Span,
}

impl Matcher {
    /// Reads a mapping such as `{ jsonpath: $.items, contains: { sku: A1 } }` or
    /// `{ body: { starts_with: ok } }`. `fields` are those of the kind's result.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(map: &Mapping, span: &Span, fields: &[&str]) -> Result<Self, Vec<Problem>> {
        let mut source = None;
        let mut filters = Filters::default();
        let mut asked = Vec::new();
        let mut problems = Vec::new();
        // `size` is a field of some results, and a predicate beside another source.
        let looks = |key: &str| {
            is_source(key, fields)
                && (predicate::kind(key).is_none()
                    || !map
                        .keys()
                        .any(|k| k != key && is_source(k, fields) && predicate::kind(k).is_none()))
        };
        for (key, entry) in &map.0 {
            if key == "filters" && !fields.contains(&"filters") {
                match Filters::read(&entry.node) {
                    Ok(f) => filters = f,
                    Err(p) => problems.extend(p),
                }
            } else if looks(key) {
                if source.is_some() {
                    problems.push(
                        Problem::at(
                            ProblemKind::Conflict,
                            &entry.key,
                            "a matcher looks at one thing",
                        )
                        .help(if key == "regex" {
                            "write `matches` to ask for a regular expression, or `filters: [ { regex: … } ]` to take a part"
                        } else {
                            "make it an expectation of its own"
                        }),
                    );
                }
                match Source::read(key, &entry.node, fields) {
                    Ok(s) => {
                        if let Source::Field(_) | Source::Bytes = &s {
                            let alone = map.keys().all(|k| k == key || k == "filters");
                            let (node, to) = (&entry.node, &mut asked);
                            read_field(node, alone, &mut filters, to, &mut problems);
                        }
                        source = Some(s);
                    }
                    Err(p) => {
                        problems.push(p);
                        source = Some(Source::Field(key.clone()));
                    }
                }
            } else if predicate::kind(key).is_some() {
                match Asked::read(key, &entry.key, &entry.node) {
                    Ok(a) => asked.push(a),
                    Err(p) => problems.extend(p),
                }
            } else {
                problems.push(unknown(key, &entry.key, fields, source.is_some()));
            }
        }
        let Some(source) = source else {
            if problems.is_empty() {
                problems.push(
                    Problem::at(
                        ProblemKind::Missing,
                        span,
                        "this matcher does not say what it looks at",
                    )
                    .help(format!("add one of: {}", all_sources(fields).join(", "))),
                );
            }
            return Err(problems);
        };
        if asked.is_empty() && problems.is_empty() {
            problems.push(
                Problem::at(
                    ProblemKind::Missing,
                    span,
                    format!("nothing is asked of `{}`", source.label()),
                )
                .help("add a predicate, such as `equals`, `contains` or `exists: true`"),
            );
        }
        if problems.is_empty() {
            Ok(Self {
                source,
                filters,
                asked,
                span: span.clone(),
            })
        } else {
            Err(problems)
        }
    }

    /// Tells all that does not hold.
    ///
    /// # Errors
    /// A template in an expected value that has no value.
    pub fn check(&self, document: &Document, scope: &Scope) -> Result<Vec<Mismatch>, Problem> {
        let findings = self.source.with(document, scope, |found| {
            let there = found.is_some();
            let filtered = match self.filters.apply(found, scope) {
                Ok(f) => f,
                Err(r) => {
                    let found = Finding::new("", r.expected, r.actual);
                    return Ok(vec![self.mismatch(None, found)]);
                }
            };
            let why = match (there, filtered.lost) {
                (false, _) => self.source.why_nothing(document),
                (true, lost) => lost,
            };
            let mut out = Vec::new();
            for a in &self.asked {
                let mut found = Vec::new();
                a.ask(filtered.value.as_ref(), scope, &mut found)?;
                out.extend(found.into_iter().map(|mut f| {
                    if f.actual == predicate::NOTHING {
                        f.hint = f.hint.or_else(|| why.clone());
                    }
                    self.mismatch(Some(a), f)
                }));
            }
            Ok(out)
        });
        match findings {
            Ok(all) => all,
            // An expression tells its own place; the others are told by this matcher.
            Err(m) if m.place.is_some() => Ok(vec![m]),
            Err(m) => Ok(vec![Mismatch {
                expectation: one_line(self.span.text()),
                place: self.span.is_real().then(|| Place::from(&self.span)),
                ..m
            }]),
        }
    }

    fn mismatch(&self, asked: Option<&Asked>, f: Finding) -> Mismatch {
        let span = asked.map_or(&self.span, |a| &a.span);
        Mismatch {
            expectation: one_line(self.span.text()),
            kind: self.source.class().into(),
            place: span.is_real().then(|| Place::from(span)),
            expected: f.expected,
            actual: f.actual,
            path: Some(format!("{}{}", self.source.label(), f.path)),
            hint: f.hint,
        }
    }

    /// The names that it uses.
    pub fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.source.roots(to);
        self.filters.roots(to);
        self.asked.iter().for_each(|a| a.roots(to));
    }
}

/// `body: {contains: x}`; any value that is no mapping means `equals`. A field that stands
/// beside predicates needs no value of its own (`{ bytes: true, size: 3 }`).
fn read_field(
    node: &Node,
    alone: bool,
    filters: &mut Filters,
    asked: &mut Vec<Asked>,
    problems: &mut Vec<Problem>,
) {
    if !alone && (node.is_null() || node.as_bool() == Some(true)) {
        return;
    }
    let Some(map) = node.as_map() else {
        match Asked::read("equals", &node.span, node) {
            Ok(a) => asked.push(a),
            Err(p) => problems.extend(p),
        }
        return;
    };
    for (key, entry) in &map.0 {
        if key == "filters" {
            match Filters::read(&entry.node) {
                Ok(f) => *filters = f,
                Err(p) => problems.extend(p),
            }
        } else if predicate::kind(key).is_some() {
            match Asked::read(key, &entry.key, &entry.node) {
                Ok(a) => asked.push(a),
                Err(p) => problems.extend(p),
            }
        } else {
            // Keys that are nearly predicates are meant as such.
            problems.push(
                predicate::unknown(key, &entry.key)
                    .help_if_none("to compare with an object, write `equals: { … }`"),
            );
            return;
        }
    }
}

impl Problem {
    fn help_if_none(mut self, help: &str) -> Self {
        match &mut self.help {
            Some(h) if h.starts_with("known here") => self.help = Some(help.into()),
            Some(_) => {}
            None => self.help = Some(help.into()),
        }
        self
    }
}

fn unknown(key: &str, span: &Span, fields: &[&str], has_source: bool) -> Problem {
    let near_predicate = nearest(key, predicate::KINDS.iter().map(|k| k.name));
    let near_source = nearest(key, ["filters"]).or_else(|| nearest(key, all_sources(fields)));
    if (has_source && near_source != Some("filters"))
        || (near_source.is_none() && near_predicate.is_some())
    {
        return predicate::unknown(key, span);
    }
    let p = Problem::at(
        ProblemKind::UnknownKey,
        span,
        format!("unknown key `{key}` in a matcher"),
    );
    match near_source {
        Some(n) => p.help(format!("did you mean `{n}`?")),
        None => p.help(format!(
            "a matcher looks at one of: {}",
            all_sources(fields).join(", ")
        )),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
