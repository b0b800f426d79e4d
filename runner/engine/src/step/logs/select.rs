//! Which lines are meant.

use prodmirror_model::check::predicate::Asked;
use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::source::Span;
use prodmirror_model::template::{Scope, Text};
use prodmirror_model::yaml::{Mapping, Node};
use serde_json::Value as Json;

use crate::step::StepError;
use crate::step::filter::Where;
use crate::step::world::LogLine;

/// A line, with its fields when it is JSON.
#[derive(Debug, Clone)]
pub(in crate::step) struct Entry {
    pub text: String,
    pub json: Option<Json>,
    stderr: bool,
}

impl Entry {
    pub fn new(line: &LogLine) -> Self {
        let json = line
            .text
            .trim_start()
            .starts_with('{')
            .then(|| serde_json::from_str(&line.text).ok())
            .flatten();
        Self {
            text: line.text.clone(),
            json,
            stderr: line.stderr,
        }
    }

    /// A text that is no line of a log, such as a message.
    #[cfg(feature = "kafka")]
    pub fn of(text: String, json: Option<Json>) -> Self {
        Self {
            text,
            json,
            stderr: false,
        }
    }
}

/// A selection of lines.
#[derive(Debug)]
pub(in crate::step) struct Select {
    span: Span,
    contains: Option<Text>,
    matches: Option<Asked>,
    pattern: Option<String>,
    fields: Where,
    stderr: Option<bool>,
}

const KEYS: [&str; 4] = ["contains", "matches", "where", "stream"];

impl Select {
    /// Reads a text that the line contains, or a mapping.
    pub fn read(node: &Node) -> Result<Self, Vec<Problem>> {
        let mut s = Self {
            span: node.span.clone(),
            contains: None,
            matches: None,
            pattern: None,
            fields: Where::default(),
            stderr: None,
        };
        if let Some(text) = node.scalar_text() {
            if text.is_empty() {
                return Err(vec![Problem::at(
                    ProblemKind::InvalidValue,
                    &node.span,
                    "an empty text is in every line",
                )]);
            }
            s.contains = Some(Text::new(text, &node.span).map_err(|p| vec![p])?);
            return Ok(s);
        }
        let Some(map) = node.as_map().filter(|m| !m.is_empty()) else {
            return Err(vec![
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("lines are meant by a text or a mapping, found {}", node.kind()),
                )
                .help("write `none: ERROR`, `any: { matches: 'id=\\d+' }` or `any: { where: { level: error } }`"),
            ]);
        };
        let mut problems = Vec::new();
        s.read_map(map, &mut problems);
        if problems.is_empty() {
            Ok(s)
        } else {
            Err(problems)
        }
    }

    fn read_map(&mut self, map: &Mapping, problems: &mut Vec<Problem>) {
        for (key, e) in &map.0 {
            match key.as_str() {
                "contains" => {
                    match Text::new(e.node.scalar_text().unwrap_or_default(), &e.node.span) {
                        Ok(t) => self.contains = Some(t),
                        Err(p) => problems.push(p),
                    }
                }
                "matches" => match Asked::read("matches", &e.key, &e.node) {
                    Ok(a) => {
                        self.matches = Some(a);
                        self.pattern = e.node.scalar_text();
                    }
                    Err(p) => problems.extend(p),
                },
                "where" => match Where::read(&e.node) {
                    Ok(fields) => self.fields = fields,
                    Err(p) => problems.extend(p),
                },
                "stream" => match e.node.as_str() {
                    Some("stdout") => self.stderr = Some(false),
                    Some("stderr") => self.stderr = Some(true),
                    _ => problems.push(Problem::at(
                        ProblemKind::InvalidValue,
                        &e.node.span,
                        "`stream` is stdout or stderr",
                    )),
                },
                other => {
                    let p = Problem::at(
                        ProblemKind::UnknownKey,
                        &e.key,
                        format!("unknown key `{other}`"),
                    );
                    problems.push(match nearest(other, KEYS) {
                        Some(n) => p.help(format!("did you mean `{n}`?")),
                        None => p.help(format!("known here: {}", KEYS.join(", "))),
                    });
                }
            }
        }
    }

    /// Whether a line is meant.
    pub fn meets(&self, e: &Entry, scope: &Scope) -> Result<bool, StepError> {
        if self.stderr.is_some_and(|s| s != e.stderr) {
            return Ok(false);
        }
        if let Some(part) = &self.contains
            && !e.text.contains(&part.render(scope)?)
        {
            return Ok(false);
        }
        if let Some(m) = &self.matches {
            let mut found = Vec::new();
            m.check(Some(&Json::from(e.text.as_str())), scope, &mut found)?;
            if !found.is_empty() {
                return Ok(false);
            }
        }
        self.fields.meets(e.json.as_ref(), scope)
    }

    pub fn span(&self) -> &Span {
        &self.span
    }

    /// In words.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        if let Some(t) = &self.contains {
            words.push(format!("with {:?}", t.source()));
        }
        if let Some(p) = &self.pattern {
            words.push(format!("matching {p}"));
        }
        if !self.fields.is_empty() {
            words.push(self.fields.words());
        }
        if let Some(stderr) = self.stderr {
            words.push(format!("on {}", if stderr { "stderr" } else { "stdout" }));
        }
        words.join(" ")
    }
}
