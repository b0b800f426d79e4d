//! Tera behind the templates that are more than plain paths.

use std::cell::RefCell;
use std::sync::LazyLock;

use serde_json::{Map, Number, Value as Json};
use tera::{Context, ErrorKind, Kwargs, State, Tera, Value};

use super::path::Path;
use super::scope::Scope;
use crate::diag::nearest;

const TEXT: &str = "text";
const KEEP: &str = "keep";

thread_local! {
    static KEPT: RefCell<Option<Value>> = const { RefCell::new(None) };
}

static BASE: LazyLock<Tera> = LazyLock::new(|| {
    let mut tera = Tera::default();
    tera.register_filter(KEEP, |value: Value, _: Kwargs, _: &State| -> Value {
        KEPT.set(Some(value));
        Value::from("")
    });
    tera.register_filter("json", |value: Value, _: Kwargs, _: &State| -> String {
        from_tera(&value).to_string()
    });
    tera.register_filter(
        "urlencode",
        |value: Value, _: Kwargs, _: &State| -> String {
            percent_encoding::utf8_percent_encode(
                &value.to_string(),
                percent_encoding::NON_ALPHANUMERIC,
            )
            .to_string()
        },
    );
    tera.register_filter("base64", |value: Value, _: Kwargs, _: &State| -> String {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(value.to_string())
    });
    tera
});

/// Why a template does not compile or render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What is wrong.
    pub message: String,
    /// The bytes of the template that it is about.
    pub range: Option<std::ops::Range<usize>>,
    /// What to do.
    pub help: Option<String>,
}

/// A compiled template.
#[derive(Debug)]
pub(crate) struct Compiled {
    source: String,
    tera: Tera,
    roots: Vec<String>,
}

impl Compiled {
    /// Compiles a text with tags.
    pub fn text(source: &str) -> Result<Self, Failure> {
        Self::new(source, None)
    }

    /// Compiles a single expression whose value keeps its type; `source` is the whole text,
    /// for places.
    pub fn value(source: &str, expression: &str) -> Result<Self, Failure> {
        Self::new(source, Some(expression))
    }

    fn new(source: &str, expression: Option<&str>) -> Result<Self, Failure> {
        let mut tera = BASE.clone();
        tera.add_raw_template(TEXT, source)
            .map_err(|e| failure(&e, source))?;
        if let Some(e) = expression {
            tera.add_raw_template(KEEP, &format!("{{{{ ({e}) | {KEEP} }}}}"))
                .map_err(|e| failure(&e, source))?;
        }
        let mut roots: Vec<String> = tera
            .get_template_variables(TEXT)
            .map(|v| v.into_iter().map(str::to_owned).collect())
            .unwrap_or_default();
        roots.sort();
        Ok(Self {
            tera,
            roots,
            source: source.to_owned(),
        })
    }

    /// The names that it uses.
    pub fn roots(&self) -> &[String] {
        &self.roots
    }

    /// Renders a text.
    pub fn render(&self, scope: &Scope) -> Result<String, Failure> {
        self.tera
            .render(TEXT, &self.context(scope))
            .map_err(|e| self.undefined(failure(&e, &self.source), scope))
    }

    /// Evaluates the expression.
    pub fn evaluate(&self, scope: &Scope) -> Result<Json, Failure> {
        let context = self.context(scope);
        KEPT.set(None);
        let rendered = self.tera.render(KEEP, &context);
        let failed = match (rendered, KEPT.take()) {
            (Ok(_), Some(value)) if !value.is_undefined() => return Ok(from_tera(&value)),
            (Err(e), _) => Some(Failure {
                range: None,
                ..failure(&e, &self.source)
            }),
            (Ok(_), _) => None,
        };
        // Rendered as text, the same expression fails at its place in the source, also when
        // it is only undefined.
        match (self.tera.render(TEXT, &context), failed) {
            (Err(e), _) => Err(self.undefined(failure(&e, &self.source), scope)),
            (Ok(_), Some(f)) => Err(self.undefined(f, scope)),
            (Ok(text), None) => Ok(Json::String(text)),
        }
    }

    /// Tera's words for an undefined variable, in ours, with the nearest name.
    fn undefined(&self, f: Failure, scope: &Scope) -> Failure {
        let named = f
            .message
            .strip_prefix("Variable `")
            .and_then(|rest| rest.split_once('`'))
            .map(|(name, _)| name.to_owned());
        let found = named.or_else(|| {
            let about = f.message.contains("undefined");
            let missing = |n: &&String| scope.get(n).is_none() && !super::is_reserved(n);
            self.roots.iter().find(missing).filter(|_| about).cloned()
        });
        match found {
            Some(name) => Failure {
                range: f.range,
                ..unknown(&name, scope.names())
            },
            None => f,
        }
    }

    fn context(&self, scope: &Scope) -> Context {
        let mut context = Context::new();
        for name in &self.roots {
            let value = match name.as_str() {
                "steps" => Value::from(
                    scope
                        .step_ids()
                        .filter_map(|id| scope.step(id).map(|d| (id, d)))
                        .map(|(id, d)| (id.to_owned(), object(&d.fields)))
                        .collect::<indexmap::IndexMap<String, Value>>(),
                ),
                "vars" => Value::from(
                    scope
                        .names()
                        .filter_map(|n| scope.get(n).map(|v| (n.to_owned(), to_tera(v))))
                        .collect::<indexmap::IndexMap<String, Value>>(),
                ),
                "secrets" => Value::from(
                    scope
                        .secret_names()
                        .filter_map(|n| scope.secret(n).map(|v| (n.to_owned(), to_tera(v))))
                        .collect::<indexmap::IndexMap<String, Value>>(),
                ),
                _ => match scope.get(name) {
                    Some(v) => to_tera(v),
                    None => continue,
                },
            };
            context.insert_value(name.clone(), value);
        }
        context
    }
}

/// Looks a plain path up.
pub(crate) fn look_up<'s>(path: &Path, scope: &'s Scope) -> Result<Found<'s>, Failure> {
    let fail = |m: super::path::Missing<'_>| missing_field(path, m);
    match (path.root.as_str(), path.rest.first()) {
        ("vars", None) => Ok(Found::Owned(Json::Object(
            scope
                .names()
                .filter_map(|n| Some((n.to_owned(), scope.get(n)?.clone())))
                .collect(),
        ))),
        ("vars", Some(name)) => {
            let name = name.to_string();
            let value = scope
                .get(&name)
                .ok_or_else(|| unknown(&name, scope.names()))?;
            path.follow(value, 1).map(Found::Borrowed).map_err(fail)
        }
        ("secrets", Some(name)) => {
            let name = name.to_string();
            let value = scope
                .secret(&name)
                .ok_or_else(|| none_of(&format!("secrets.{name}"), &name, scope.secret_names()))?;
            path.follow(value, 1).map(Found::Borrowed).map_err(fail)
        }
        ("steps", Some(id)) => {
            let id = id.to_string();
            let doc = scope
                .step(&id)
                .ok_or_else(|| none_of(&format!("steps.{id}"), &id, scope.step_ids()))?;
            match path.rest.get(1) {
                None => Ok(Found::Owned(Json::Object(doc.fields.clone()))),
                Some(field) => {
                    let field = field.to_string();
                    let value = doc.get(&field).ok_or_else(|| {
                        none_of(
                            &format!("steps.{id}.{field}"),
                            &field,
                            doc.fields.keys().map(String::as_str),
                        )
                    })?;
                    path.follow(value, 2).map(Found::Borrowed).map_err(fail)
                }
            }
        }
        (root, _) => {
            let value = scope
                .get(root)
                .ok_or_else(|| unknown(root, scope.names()))?;
            path.follow(value, 0).map(Found::Borrowed).map_err(fail)
        }
    }
}

/// A value that was looked up.
pub(crate) enum Found<'s> {
    /// It stands in the scope.
    Borrowed(&'s Json),
    /// It was put together.
    Owned(Json),
}

impl Found<'_> {
    /// The value itself.
    pub fn into_json(self) -> Json {
        match self {
            Found::Borrowed(v) => v.clone(),
            Found::Owned(v) => v,
        }
    }

    /// Writes it as text.
    pub fn write(&self, out: &mut String) {
        let value = match self {
            Found::Borrowed(v) => v,
            Found::Owned(v) => v,
        };
        write_text(value, out);
    }
}

/// A value inside a text: a string as it is, numbers as they were written, the rest as Tera
/// prints it.
pub(crate) fn write_text(value: &Json, out: &mut String) {
    use std::fmt::Write;
    match value {
        Json::String(s) => out.push_str(s),
        Json::Number(n) => {
            let _ = write!(out, "{n}");
        }
        Json::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        other => out.push_str(&to_tera(other).to_string()),
    }
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    none_of(name, name, known)
}

fn none_of<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let known: Vec<&str> = known.collect();
    let help = match nearest(name, known.iter().copied()) {
        Some(n) => format!("did you mean `{n}`?"),
        None if known.is_empty() => "nothing of that kind is defined here".into(),
        None => format!("defined here: {}", listed(&known)),
    };
    Failure {
        message: format!("`{what}` is not defined"),
        range: None,
        help: Some(help),
    }
}

/// The first names of a list, and how many more there are.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

fn missing_field(path: &Path, m: super::path::Missing<'_>) -> Failure {
    let whole = path.text(path.rest.len());
    let help = match m.last {
        Some(Json::Object(o)) => {
            let keys: Vec<&str> = o.keys().map(String::as_str).collect();
            Some(match nearest(&m.wanted, keys.iter().copied()) {
                Some(n) => format!("did you mean `{n}`?"),
                None if keys.is_empty() => format!("`{}` is empty", m.found),
                None => format!("`{}` has: {}", m.found, listed(&keys)),
            })
        }
        Some(Json::Array(items)) => Some(format!("`{}` has {} items", m.found, items.len())),
        Some(Json::Null) => Some(format!("`{}` is null", m.found)),
        _ => None,
    };
    Failure {
        message: format!(
            "`{whole}` is not defined: `{}` has no `{}`",
            m.found, m.wanted
        ),
        range: None,
        help,
    }
}

fn failure(e: &tera::Error, source: &str) -> Failure {
    match e.kind() {
        ErrorKind::SyntaxError(r) | ErrorKind::RenderingError(r) => Failure {
            message: lower(r.message()),
            range: Some(r.span().range.clone()),
            help: None,
        },
        ErrorKind::Msg(m) => reference(m, source),
        other => Failure {
            message: lower(&other.to_string()),
            range: None,
            help: None,
        },
    }
}

/// An unknown filter, test or function comes as a drawn report: its first line is the
/// message, its third the place.
fn reference(report: &str, source: &str) -> Failure {
    let first = report.lines().next().unwrap_or(report);
    let message = first.strip_prefix("error: ").unwrap_or(first);
    let name = message.split('`').nth(1).unwrap_or_default();
    let known: Vec<String> = if message.starts_with("Unknown filter") {
        filters()
    } else {
        vec![]
    };
    let help =
        nearest(name, known.iter().map(String::as_str)).map(|n| format!("did you mean `{n}`?"));
    Failure {
        message: lower(message),
        range: source.find(name).map(|at| at..at + name.len()),
        help,
    }
}

fn filters() -> Vec<String> {
    [
        "default",
        "upper",
        "lower",
        "trim",
        "replace",
        "capitalize",
        "title",
        "truncate",
        "str",
        "int",
        "float",
        "length",
        "reverse",
        "split",
        "abs",
        "round",
        "first",
        "last",
        "nth",
        "join",
        "sort",
        "unique",
        "get",
        "values",
        "keys",
        "pairs",
        "json",
        "urlencode",
        "base64",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn lower(message: &str) -> String {
    // `Variable `x` …` is kept: it is recognised later.
    if message.starts_with("Variable `") {
        return message.to_owned();
    }
    let mut chars = message.chars();
    match chars.next() {
        Some(c) => c.to_lowercase().collect::<String>() + chars.as_str().trim_end_matches('.'),
        None => String::new(),
    }
}

fn object(fields: &Map<String, Json>) -> Value {
    Value::from(
        fields
            .iter()
            .map(|(k, v)| (k.clone(), to_tera(v)))
            .collect::<indexmap::IndexMap<String, Value>>(),
    )
}

/// JSON as Tera's values.
pub(crate) fn to_tera(json: &Json) -> Value {
    match json {
        Json::Null => Value::none(),
        Json::Bool(b) => Value::from(*b),
        Json::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(i), _, _) => Value::from(i),
            (_, Some(u), _) => Value::from(u),
            (_, _, Some(f)) => Value::from(f),
            _ => Value::from(n.to_string()),
        },
        Json::String(s) => Value::from(s.as_str()),
        Json::Array(items) => Value::from(items.iter().map(to_tera).collect::<Vec<_>>()),
        Json::Object(o) => object(o),
    }
}

/// Tera's values as JSON.
pub(crate) fn from_tera(value: &Value) -> Json {
    if let Some(b) = value.as_bool() {
        return Json::Bool(b);
    }
    if let Some(s) = value.as_str() {
        return Json::String(s.to_owned());
    }
    if let Some(items) = value.as_array() {
        return Json::Array(items.iter().map(from_tera).collect());
    }
    if let Some(map) = value.as_map() {
        return Json::Object(
            map.iter()
                .map(|(k, v)| (k.to_string(), from_tera(v)))
                .collect(),
        );
    }
    if value.is_f64() {
        return value
            .as_f64()
            .and_then(Number::from_f64)
            .map_or(Json::Null, Json::Number);
    }
    if let Some(n) = value.as_i128().and_then(Number::from_i128) {
        return Json::Number(n);
    }
    if let Some(b) = value.as_bytes() {
        return Json::String(String::from_utf8_lossy(b).into_owned());
    }
    Json::Null
}
