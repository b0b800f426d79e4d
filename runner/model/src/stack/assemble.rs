//! From Tera's output to the stack's text: each value in the form that its place needs.
//!
//! The output with its marks is YAML itself (a mark is a plain scalar). Reading it shows where
//! each value stands: as a key, as a value, alone on its line, or where no value may stand.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::encode;
use super::scan::{LINE_MARK, VALUE_MARK, is_mark};
use super::template::Output;
use crate::diag::{Problem, ProblemKind, Problems};
use crate::source::{SourceFile, Span};
use crate::yaml::{Node, Value, parse_all};

/// What messages call a rendered stack.
pub const RENDERED_NAME: &str = "stack.yaml (rendered)";

/// The text of a stack and where each of its lines came from.
#[derive(Debug, Clone)]
pub struct Assembled {
    /// The text.
    pub file: Arc<SourceFile>,
    /// By line: the place in a template that made it.
    pub origins: Vec<Option<Span>>,
}

impl Assembled {
    /// Adds to a problem in the rendered text the place in the template that made the line.
    pub fn explain(&self, mut p: Problem) -> Problem {
        let Some(span) = &p.span else { return p };
        if span.file != self.file {
            return p;
        }
        let line = span.line as usize;
        let origin = self.origins[..line.min(self.origins.len())]
            .iter()
            .rev()
            .flatten()
            .next();
        let opened: Vec<(Span, String)> = p
            .related
            .iter()
            .filter(|(s, _)| s.file == self.file)
            .filter_map(|(s, what)| {
                let origin = self.origins.get(s.line as usize - 1)?.clone()?;
                Some((origin, format!("{what}, by this line of the template")))
            })
            .collect();
        if let Some(origin) = origin {
            let what = match self.origins.get(line - 1) {
                Some(Some(_)) => "this line of the template made it",
                _ => "the template made it at or after this line",
            };
            p = p.related(&origin.clone(), what);
        }
        for (origin, what) in opened {
            p = p.related(&origin, what);
        }
        p
    }
}

/// A piece of a line.
enum Piece<'t> {
    Text(&'t str),
    /// Number of the occurrence.
    Value(usize),
}

struct Line<'t> {
    pieces: Vec<Piece<'t>>,
    origin: Option<Span>,
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Key,
    Value,
}

/// Puts the values into the text.
///
/// # Errors
/// Text that is not YAML, and values in places where none can stand.
pub fn assemble(output: &Output) -> Result<Assembled, Problems> {
    let mut occurrences = Vec::new();
    let mut lines = Vec::new();
    let mut problems = Problems::default();
    for raw in output
        .text
        .strip_suffix('\n')
        .unwrap_or(&output.text)
        .split('\n')
    {
        lines.push(split(raw, output, &mut occurrences));
    }
    let plan = Plan {
        lines: &lines,
        occurrences: &occurrences,
        output,
    };
    let skeleton = SourceFile::new(RENDERED_NAME, plan.skeleton());
    let docs = match parse_all(&skeleton) {
        Ok(docs) => docs,
        Err(p) => {
            let (text, starts) = plan.text(&HashMap::new(), true);
            return Err(plan.moved(p, text, &starts).into());
        }
    };
    let mut forms = Forms {
        plan: &plan,
        found: HashMap::new(),
        problems: &mut problems,
    };
    docs.iter().for_each(|d| forms.visit(d));
    let found = forms.found;
    for p in &mut problems.0 {
        let (text, starts) = plan.text(&found, true);
        *p = plan.moved(p.clone(), text, &starts);
    }
    if problems.has_errors() {
        return Err(problems);
    }
    plan.finish(&found).map_err(Problems::from)
}

fn split<'t>(raw: &'t str, output: &Output, occurrences: &mut Vec<usize>) -> Line<'t> {
    let mut line = Line {
        pieces: Vec::new(),
        origin: None,
    };
    let mut rest = raw;
    while let Some(at) = rest.find(is_mark) {
        if at > 0 {
            line.pieces.push(Piece::Text(&rest[..at]));
        }
        let open = rest[at..].chars().next().unwrap_or(LINE_MARK.0);
        let after = &rest[at + open.len_utf8()..];
        let digits = after
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(after.len());
        let number: Option<usize> = after[..digits].parse().ok();
        let close = after[digits..].chars().next();
        let (end, site) = match (open, number) {
            (o, Some(n)) if o == LINE_MARK.0 && close == Some(LINE_MARK.1) => {
                (digits + LINE_MARK.1.len_utf8(), output.sites.get(n))
            }
            (o, Some(n)) if o == VALUE_MARK.0 && close == Some(VALUE_MARK.1) => {
                let value = output.values.get(n);
                if value.is_some() {
                    line.pieces.push(Piece::Value(occurrences.len()));
                    occurrences.push(n);
                }
                (
                    digits + VALUE_MARK.1.len_utf8(),
                    value.and_then(|(_, s)| output.sites.get(*s)),
                )
            }
            _ => (0, None),
        };
        if line.origin.is_none() {
            line.origin = site.cloned();
        }
        rest = &after[end..];
    }
    if !rest.is_empty() {
        line.pieces.push(Piece::Text(rest));
    }
    line
}

struct Plan<'p> {
    lines: &'p [Line<'p>],
    occurrences: &'p [usize],
    output: &'p Output,
}

impl Plan<'_> {
    fn json(&self, occurrence: usize) -> &Json {
        &self.output.values[self.occurrences[occurrence]].0
    }

    /// The value that stands alone on a line, with its column.
    fn alone(&self, line: &Line<'_>) -> Option<(usize, usize)> {
        let mut value = None;
        let mut column = 0;
        for piece in &line.pieces {
            match piece {
                Piece::Text(t) if t.trim().is_empty() => {
                    if value.is_none() {
                        column += t.len();
                    }
                }
                Piece::Value(n) if value.is_none() => value = Some(*n),
                _ => return None,
            }
        }
        value.map(|n| (n, column))
    }

    /// The text with a name in the place of each value, to see where it stands.
    fn skeleton(&self) -> String {
        let mut out = String::new();
        for line in self.lines {
            let spread = self.alone(line).map(|(n, _)| self.json(n));
            let (before, behind) = match spread {
                Some(Json::Object(m)) if !m.is_empty() => ("", ": ~"),
                Some(Json::Array(a)) if !a.is_empty() => ("- ", ""),
                _ => ("", ""),
            };
            for piece in &line.pieces {
                match piece {
                    Piece::Text(t) => out.push_str(t),
                    Piece::Value(n) => out.push_str(&format!("{before}{}{behind}", name(*n))),
                }
            }
            out.push('\n');
        }
        out
    }

    /// The text with its values, and the number of the first line that each line gave.
    fn text(&self, forms: &HashMap<usize, Form>, on_one_line: bool) -> (Vec<Out>, Vec<usize>) {
        let mut out = Vec::new();
        let mut starts = Vec::new();
        for line in self.lines {
            starts.push(out.len());
            let mut push = |text: String| {
                out.push(Out {
                    text,
                    origin: line.origin.clone(),
                });
            };
            if let Some((n, column)) = self.alone(line) {
                encode::block(self.json(n), column)
                    .into_iter()
                    .for_each(&mut push);
                continue;
            }
            let mut now = String::new();
            for (i, piece) in line.pieces.iter().enumerate() {
                match piece {
                    Piece::Text(t) => now.push_str(t),
                    Piece::Value(n) => {
                        let is_key = forms.get(n) == Some(&Form::Key);
                        let last = i + 1 == line.pieces.len();
                        let column = key_column(&now).filter(|_| last && !on_one_line);
                        match (self.json(*n), column) {
                            (Json::String(s), _) if is_key => now.push_str(&encode::key(s)),
                            (json, _) if is_key => now.push_str(&encode::key(&encode::flow(json))),
                            (json, Some(column)) => {
                                let kept = now.trim_end().len();
                                now.truncate(kept);
                                let mut lines = encode::after_key(json, column).into_iter();
                                now.push_str(&lines.next().unwrap_or_default());
                                for next in lines {
                                    push(std::mem::replace(&mut now, next));
                                }
                            }
                            (json, None) => now.push_str(&encode::flow(json)),
                        }
                    }
                }
            }
            push(now);
        }
        (out, starts)
    }

    /// The same problem in the text that people see.
    fn moved(&self, mut p: Problem, lines: Vec<Out>, starts: &[usize]) -> Problem {
        let Some(span) = p.span.take() else { return p };
        let done = finished(lines);
        let place = |span: &Span| {
            let line = (span.line as usize).clamp(1, starts.len().max(1));
            let at = starts.get(line - 1).copied().unwrap_or(0);
            let shown = done.file.text.lines().nth(at).unwrap_or("");
            let indent = shown.len() - shown.trim_start().len();
            let width = shown.trim().chars().count().max(1);
            let place = Span::in_line(&done.file, at as u32 + 1, indent as u32 + 1, width as u32);
            (place, shown.trim().to_owned())
        };
        for (span, _) in &mut p.related {
            *span = place(span).0;
        }
        let (place, shown) = place(&span);
        if p.kind == ProblemKind::Syntax {
            p.message = format!(
                "the template renders invalid YAML: `{}`: {}",
                shown,
                p.message.trim_start_matches("invalid YAML: ")
            );
        }
        p.span = Some(place);
        done.explain(p)
    }

    fn finish(&self, forms: &HashMap<usize, Form>) -> Result<Assembled, Problem> {
        let (lines, _) = self.text(forms, false);
        let done = finished(lines);
        if parse_all(&done.file).is_ok() {
            return Ok(done);
        }
        // A value behind a key inside of brackets that span lines: one line is right there.
        let (lines, starts) = self.text(forms, true);
        let done = finished(lines.clone());
        match parse_all(&done.file) {
            Ok(_) => Ok(done),
            Err(mut p) => {
                if let Some(span) = &mut p.span {
                    let at = span.line as usize - 1;
                    let line = starts.partition_point(|s| *s <= at);
                    span.line = line as u32;
                }
                Err(self.moved(p, lines, &starts))
            }
        }
    }
}

#[derive(Clone)]
struct Out {
    text: String,
    origin: Option<Span>,
}

fn finished(lines: Vec<Out>) -> Assembled {
    let mut text = String::new();
    let mut origins = Vec::with_capacity(lines.len());
    for line in lines {
        text.push_str(&line.text);
        text.push('\n');
        origins.push(line.origin);
    }
    Assembled {
        file: SourceFile::new(RENDERED_NAME, text),
        origins,
    }
}

fn name(occurrence: usize) -> String {
    format!("{}{occurrence}{}", VALUE_MARK.0, VALUE_MARK.1)
}

/// The column of the key that a line so far ends with: `    key:`, `  - key:`.
fn key_column(now: &str) -> Option<usize> {
    let key = now.trim_end().strip_suffix(':')?;
    let mut body = key.trim_start();
    while let Some(rest) = body.strip_prefix("- ") {
        body = rest.trim_start();
    }
    let column = key.len() - body.len();
    let plain = |c: char| c.is_alphanumeric() || "_-./".contains(c);
    let quoted = body.len() > 1 && body.starts_with('"') && body.ends_with('"');
    (!body.is_empty() && (quoted || body.chars().all(plain))).then_some(column)
}

struct Forms<'p> {
    plan: &'p Plan<'p>,
    found: HashMap<usize, Form>,
    problems: &'p mut Problems,
}

impl Forms<'_> {
    fn visit(&mut self, node: &Node) {
        match &node.value {
            Value::Str(s) => self.scalar(s, &node.span, Form::Value),
            Value::Seq(items) => items.iter().for_each(|n| self.visit(n)),
            Value::Map(map) => {
                for (key, entry) in &map.0 {
                    self.scalar(key, &entry.key, Form::Key);
                    self.visit(&entry.node);
                }
            }
            _ => {}
        }
    }

    fn scalar(&mut self, text: &str, span: &Span, form: Form) {
        let Some(at) = text.find(VALUE_MARK.0) else {
            return;
        };
        let digits = text[at + VALUE_MARK.0.len_utf8()..]
            .split(VALUE_MARK.1)
            .next();
        let Some(n) = digits.and_then(|d| d.parse::<usize>().ok()) else {
            return;
        };
        let wrong = if text != name(n) {
            Some((
                "a value of the template stands inside of a text",
                "join texts in the template: {{ \"text\" ~ value }}",
            ))
        } else if span.text().starts_with(['"', '\'']) {
            Some((
                "a value of the template stands in quotes",
                "a value brings its own quotes: remove those around {{ … }}",
            ))
        } else if form == Form::Key && self.is_spread(n) {
            None
        } else if form == Form::Key && matches!(self.plan.json(n), Json::Array(_) | Json::Object(_))
        {
            Some((
                "a mapping or a list cannot be a key",
                "name one of its values",
            ))
        } else {
            None
        };
        match wrong {
            Some((what, help)) => self
                .problems
                .push(Problem::at(ProblemKind::InvalidValue, span, what).help(help)),
            None => {
                self.found.insert(n, form);
            }
        }
    }

    fn is_spread(&self, n: usize) -> bool {
        self.plan
            .lines
            .iter()
            .any(|l| self.plan.alone(l).is_some_and(|(v, _)| v == n))
    }
}
