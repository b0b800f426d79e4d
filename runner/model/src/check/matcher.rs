//! Matchers: a source and what is asked of it.

use super::predicate::{self, Asked, Finding, read_all};
use super::source::{SOURCES, Source, is_source};
use crate::diag::{Problem, ProblemKind, nearest};
use crate::event::{Mismatch, Place};
use crate::source::Span;
use crate::template::{Document, Scope};
use crate::yaml::{Mapping, Node};

/// A compiled matcher.
#[derive(Debug)]
pub struct Matcher {
    source: Source,
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
        let mut asked = Vec::new();
        let mut problems = Vec::new();
        for (key, entry) in &map.0 {
            if is_source(key, fields) && predicate::kind(key).is_none() {
                if source.is_some() {
                    problems.push(
                        Problem::at(
                            ProblemKind::Conflict,
                            &entry.key,
                            "a matcher looks at one thing",
                        )
                        .help("make it an expectation of its own"),
                    );
                }
                match Source::read(key, &entry.node) {
                    Ok(s) => {
                        if let Source::Field(_) = &s {
                            read_field(&entry.node, map.len() == 1, &mut asked, &mut problems);
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
        let findings = self.source.with(document, scope, |value| {
            let mut out: Vec<(&Asked, Finding)> = Vec::new();
            for a in &self.asked {
                let mut found = Vec::new();
                a.check(value, scope, &mut found)?;
                out.extend(found.into_iter().map(|f| (a, f)));
            }
            Ok(out)
        });
        match findings {
            Ok(Ok(all)) => Ok(all.into_iter().map(|(a, f)| self.mismatch(a, f)).collect()),
            Ok(Err(p)) => Err(p),
            Err(m) => Ok(vec![m]),
        }
    }

    fn mismatch(&self, asked: &Asked, f: Finding) -> Mismatch {
        let label = self.source.label();
        let no_json = label.starts_with('$') && f.actual == "nothing is there";
        Mismatch {
            expectation: one_line(self.span.text()),
            kind: self.source.class().into(),
            place: asked.span.is_real().then(|| Place::from(&asked.span)),
            expected: f.expected,
            actual: f.actual,
            path: Some(format!("{label}{}", f.path)),
            hint: f.hint.or_else(|| {
                no_json.then(|| "the path finds nothing in the JSON of the result".into())
            }),
        }
    }

    /// The names that it uses.
    pub fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.source.roots(to);
        self.asked.iter().for_each(|a| a.roots(to));
    }
}

/// `body: {contains: x}`; any value that is no mapping means `equals`. A field that stands
/// beside predicates has no value of its own (`{ body:, contains: x }`).
fn read_field(node: &Node, alone: bool, asked: &mut Vec<Asked>, problems: &mut Vec<Problem>) {
    if !alone && node.is_null() {
        return;
    }
    let read = match node.as_map() {
        Some(m) if m.keys().all(|k| predicate::kind(k).is_some()) && !m.is_empty() => read_all(m),
        Some(m) => {
            // Keys that are nearly predicates are meant as such.
            match m.0.iter().find(|(k, _)| predicate::kind(k).is_none()) {
                Some((k, e)) => {
                    Err(vec![predicate::unknown(k, &e.key).help_if_none(
                        "to compare with an object, write `equals: { … }`",
                    )])
                }
                None => Ok(Vec::new()),
            }
        }
        None => Asked::read("equals", &node.span, node).map(|a| vec![a]),
    };
    match read {
        Ok(a) => asked.extend(a),
        Err(p) => problems.extend(p),
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

fn all_sources<'a>(fields: &[&'a str]) -> Vec<&'a str> {
    SOURCES.into_iter().chain(fields.iter().copied()).collect()
}

fn unknown(key: &str, span: &Span, fields: &[&str], has_source: bool) -> Problem {
    let near_predicate = nearest(key, predicate::KINDS.iter().map(|k| k.name));
    let near_source = nearest(key, all_sources(fields));
    if has_source || (near_source.is_none() && near_predicate.is_some()) {
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
