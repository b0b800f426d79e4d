//! Values with templates in them, as they stand in the body of a step.

use std::fmt;

use serde::de;
use serde_json::Value as Json;

use super::engine::{Compiled, Failure, Found, look_up, write_text};
use super::locate::locate;
use super::path::Path;
use super::scan::{Tag, has_tags, tags};
use super::scope::Scope;
use crate::diag::{Problem, ProblemKind};
use crate::source::Span;
use crate::yaml::{Node, Value};

/// A text that may hold `{{ … }}`.
#[derive(Debug)]
pub struct Text {
    source: String,
    span: Span,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// No template.
    Plain,
    /// Literal text and plain paths only.
    Parts(Vec<Part>),
    /// Anything else.
    Tera(Box<Compiled>),
}

#[derive(Debug)]
enum Part {
    Literal(std::ops::Range<usize>),
    Path(Path, std::ops::Range<usize>),
}

/// Any value that may hold `{{ … }}` in its texts.
#[derive(Debug)]
pub enum Data {
    /// No template in it.
    Plain(Json, Span),
    /// Exactly one `{{ expr }}`: keeps its type.
    Value(Expr),
    /// A text with templates in it.
    Text(Text),
    /// A list.
    List(Vec<Data>, Span),
    /// A mapping.
    Map(Vec<(Text, Data)>, Span),
}

/// One `{{ expr }}` whose value keeps its type.
#[derive(Debug)]
pub struct Expr {
    source: String,
    span: Span,
    form: ExprForm,
}

#[derive(Debug)]
enum ExprForm {
    Path(Path, std::ops::Range<usize>),
    Tera(Box<Compiled>),
}

impl Text {
    /// Compiles a text that stands at `span`.
    ///
    /// # Errors
    /// A template that is not closed, that is no valid expression, or that uses an unknown
    /// filter or function; with the place inside the text.
    pub fn new(source: impl Into<String>, span: &Span) -> Result<Self, Problem> {
        let source = source.into();
        let form = Self::compile(&source).map_err(|f| problem(f, &source, span))?;
        Ok(Self {
            source,
            span: span.clone(),
            form,
        })
    }

    fn compile(source: &str) -> Result<Form, Failure> {
        if !has_tags(source) {
            return Ok(Form::Plain);
        }
        let found = tags(source).map_err(|at| unclosed(source, at))?;
        if let Some(parts) = plain_parts(source, &found) {
            return Ok(Form::Parts(parts));
        }
        Compiled::text(source).map(|c| Form::Tera(Box::new(c)))
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Where it stands.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// The text itself when it holds no template.
    pub fn plain(&self) -> Option<&str> {
        matches!(self.form, Form::Plain).then_some(self.source.as_str())
    }

    /// Puts the values in.
    ///
    /// # Errors
    /// A name that is not defined (with the nearest), or a filter that fails.
    pub fn render(&self, scope: &Scope) -> Result<String, Problem> {
        match &self.form {
            Form::Plain => Ok(self.source.clone()),
            Form::Parts(parts) => {
                let mut out = String::with_capacity(self.source.len());
                for part in parts {
                    match part {
                        Part::Literal(range) => out.push_str(&self.source[range.clone()]),
                        Part::Path(path, range) => look_up(path, scope)
                            .map_err(|f| self.problem(f, range))?
                            .write(&mut out),
                    }
                }
                Ok(out)
            }
            Form::Tera(c) => c
                .render(scope)
                .map_err(|f| problem(f, &self.source, &self.span)),
        }
    }

    fn problem(&self, mut f: Failure, range: &std::ops::Range<usize>) -> Problem {
        f.range = Some(range.clone());
        problem(f, &self.source, &self.span)
    }

    /// The names that it uses.
    pub fn roots(&self, to: &mut Vec<(String, Span)>) {
        match &self.form {
            Form::Plain => {}
            Form::Parts(parts) => {
                for p in parts {
                    if let Part::Path(path, range) = p {
                        root_of_path(path, &self.source, &self.span, range, to);
                    }
                }
            }
            Form::Tera(c) => roots_of(c, &self.source, &self.span, to),
        }
    }
}

impl Data {
    /// Compiles a value with all that is in it.
    ///
    /// # Errors
    /// Every template that does not compile.
    pub fn new(node: &Node) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let data = Self::read(node, &mut problems);
        if problems.is_empty() {
            Ok(data)
        } else {
            Err(problems)
        }
    }

    fn read(node: &Node, problems: &mut Vec<Problem>) -> Self {
        if !any_tags(node) {
            return Data::Plain(json_of(node), node.span.clone());
        }
        match &node.value {
            Value::Str(s) => Self::read_text(s, &node.span).unwrap_or_else(|p| {
                problems.push(p);
                Data::Plain(Json::Null, node.span.clone())
            }),
            Value::Seq(items) => Data::List(
                items.iter().map(|n| Self::read(n, problems)).collect(),
                node.span.clone(),
            ),
            Value::Map(m) => {
                let mut entries = Vec::with_capacity(m.len());
                for (key, entry) in &m.0 {
                    match Text::new(key.clone(), &entry.key) {
                        Ok(key) => entries.push((key, Self::read(&entry.node, problems))),
                        Err(p) => problems.push(p),
                    }
                }
                Data::Map(entries, node.span.clone())
            }
            _ => Data::Plain(json_of(node), node.span.clone()),
        }
    }

    fn read_text(source: &str, span: &Span) -> Result<Self, Problem> {
        let fail = |f| problem(f, source, span);
        let found = tags(source).map_err(|at| fail(unclosed(source, at)))?;
        let [tag] = found.as_slice() else {
            return Text::new(source, span).map(Data::Text);
        };
        let trimmed = source.trim();
        if tag.kind != '{' || trimmed.len() != tag.range.len() {
            return Text::new(source, span).map(Data::Text);
        }
        let inner = &source[tag.inner.clone()];
        let form = match Path::parse(inner) {
            Some(path) => ExprForm::Path(path, tag.inner.clone()),
            None => ExprForm::Tera(Box::new(Compiled::value(source, inner).map_err(fail)?)),
        };
        Ok(Data::Value(Expr {
            source: source.to_owned(),
            span: span.clone(),
            form,
        }))
    }

    /// Where it stands.
    pub fn span(&self) -> &Span {
        match self {
            Data::Plain(_, span) | Data::List(_, span) | Data::Map(_, span) => span,
            Data::Value(e) => &e.span,
            Data::Text(t) => &t.span,
        }
    }

    /// The value itself when it holds no template.
    pub fn plain(&self) -> Option<&Json> {
        match self {
            Data::Plain(json, _) => Some(json),
            _ => None,
        }
    }

    /// Puts the values in.
    ///
    /// # Errors
    /// As [`Text::render`].
    pub fn render(&self, scope: &Scope) -> Result<Json, Problem> {
        match self {
            Data::Plain(json, _) => Ok(json.clone()),
            Data::Value(e) => e.evaluate(scope),
            Data::Text(t) => t.render(scope).map(Json::String),
            Data::List(items, _) => items
                .iter()
                .map(|d| d.render(scope))
                .collect::<Result<_, _>>()
                .map(Json::Array),
            Data::Map(entries, _) => entries
                .iter()
                .map(|(k, v)| Ok((k.render(scope)?, v.render(scope)?)))
                .collect::<Result<_, _>>()
                .map(Json::Object),
        }
    }

    /// As [`Data::render`], as text: what stands in a header, a form or an environment.
    ///
    /// # Errors
    /// As [`Text::render`].
    pub fn render_text(&self, scope: &Scope) -> Result<String, Problem> {
        let mut out = String::new();
        match self {
            Data::Plain(json, _) => write_text(json, &mut out),
            other => write_text(&other.render(scope)?, &mut out),
        }
        Ok(out)
    }

    /// The names that it uses.
    pub fn roots(&self, to: &mut Vec<(String, Span)>) {
        match self {
            Data::Plain(..) => {}
            Data::Value(e) => match &e.form {
                ExprForm::Path(path, range) => root_of_path(path, &e.source, &e.span, range, to),
                ExprForm::Tera(c) => roots_of(c, &e.source, &e.span, to),
            },
            Data::Text(t) => t.roots(to),
            Data::List(items, _) => items.iter().for_each(|d| d.roots(to)),
            Data::Map(entries, _) => entries.iter().for_each(|(k, v)| {
                k.roots(to);
                v.roots(to);
            }),
        }
    }
}

impl Expr {
    fn evaluate(&self, scope: &Scope) -> Result<Json, Problem> {
        match &self.form {
            ExprForm::Path(path, range) => {
                look_up(path, scope).map(Found::into_json).map_err(|mut f| {
                    f.range = Some(range.clone());
                    problem(f, &self.source, &self.span)
                })
            }
            ExprForm::Tera(c) => c
                .evaluate(scope)
                .map_err(|f| problem(f, &self.source, &self.span)),
        }
    }
}

/// `steps.x` and `vars.x` are named with their second part, so that it can be checked.
fn root_of_path(
    path: &Path,
    source: &str,
    span: &Span,
    range: &std::ops::Range<usize>,
    to: &mut Vec<(String, Span)>,
) {
    let place = locate(span, source, range.start, range.end);
    let name = match path.root.as_str() {
        "steps" | "vars" => path.text(1),
        root => root.to_owned(),
    };
    to.push((name, place));
}

fn roots_of(c: &Compiled, source: &str, span: &Span, to: &mut Vec<(String, Span)>) {
    for name in c.roots().iter().filter(|n| !may_be_missing(source, n)) {
        to.push((name.clone(), super::locate::part_of(span, source, name)));
    }
}

/// Whether a template says what to do when a name is not there: `| default(…)`, `is defined`.
fn may_be_missing(source: &str, name: &str) -> bool {
    source.match_indices(name).any(|(at, _)| {
        let path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '[' | ']');
        let rest = source[at + name.len()..]
            .trim_start_matches(path)
            .trim_start();
        match rest.strip_prefix('|') {
            Some(filter) => filter.trim_start().starts_with("default"),
            None => ["is defined", "is undefined", "is not defined"]
                .iter()
                .any(|t| rest.starts_with(t)),
        }
    })
}

fn plain_parts(source: &str, found: &[Tag]) -> Option<Vec<Part>> {
    let mut parts = Vec::with_capacity(found.len() * 2 + 1);
    let mut at = 0;
    for tag in found {
        // Whitespace control needs Tera.
        if tag.kind != '{'
            || source[tag.range.clone()].contains("{{-")
            || source[tag.range.clone()].contains("-}}")
        {
            return None;
        }
        let path = Path::parse(&source[tag.inner.clone()])?;
        if at < tag.range.start {
            parts.push(Part::Literal(at..tag.range.start));
        }
        parts.push(Part::Path(path, tag.inner.clone()));
        at = tag.range.end;
    }
    if at < source.len() {
        parts.push(Part::Literal(at..source.len()));
    }
    Some(parts)
}

fn unclosed(source: &str, at: usize) -> Failure {
    let open = &source[at..at + 2];
    let close = match open {
        "{%" => "%}",
        "{#" => "#}",
        _ => "}}",
    };
    Failure {
        message: format!("`{open}` is never closed"),
        range: Some(at..at + 2),
        help: Some(format!(
            "close it with `{close}`, or write `{{% raw %}}{open}{{% endraw %}}` for the characters themselves"
        )),
    }
}

fn problem(f: Failure, source: &str, span: &Span) -> Problem {
    let place = match f.range {
        Some(r) => locate(span, source, r.start, r.end),
        None => span.clone(),
    };
    let kind = if f.message.ends_with("is not defined") || f.message.contains("is not defined:") {
        ProblemKind::UnknownReference
    } else {
        ProblemKind::Syntax
    };
    let mut p = Problem::at(kind, &place, format!("template: {}", f.message));
    p.help = f.help;
    p
}

fn any_tags(node: &Node) -> bool {
    match &node.value {
        Value::Str(s) => has_tags(s),
        Value::Seq(items) => items.iter().any(any_tags),
        Value::Map(m) => m.0.iter().any(|(k, e)| has_tags(k) || any_tags(&e.node)),
        _ => false,
    }
}

/// As [`Node::to_json`], but numbers keep their digits.
fn json_of(node: &Node) -> Json {
    match &node.value {
        Value::Float { raw, .. } => serde_json::from_str(raw).unwrap_or_else(|_| node.to_json()),
        Value::Seq(items) => Json::Array(items.iter().map(json_of).collect()),
        Value::Map(m) => Json::Object(m.iter().map(|(k, v)| (k.to_owned(), json_of(v))).collect()),
        _ => node.to_json(),
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// Scalars become texts as they are written: `port: 5432`, `flag: true`.
impl<'de> de::Deserialize<'de> for Text {
    fn deserialize<D: de::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(d)?;
        let text = node
            .scalar_text()
            .ok_or_else(|| de::Error::custom(format!("expected a text, found {}", node.kind())))?;
        Text::new(text, &node.span).map_err(crate::yaml::de::carried)
    }
}

impl<'de> de::Deserialize<'de> for Data {
    fn deserialize<D: de::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(d)?;
        Data::new(&node).map_err(|mut p| crate::yaml::de::carried(p.swap_remove(0)))
    }
}
