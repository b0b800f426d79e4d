//! Running Tera over a stack template.

use std::path::Path;
use std::sync::{Arc, Mutex};

use regex::Regex;
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::Value as Json;
use tera::{Context, ErrorKind, Kwargs, State, Tera, TeraResult, Value};

use super::scan::{Prepared, Sites, VALUE_MARK, prepare};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::project::ProjectPath;
use crate::source::SourceFile;

/// The name by which projects extend the built-in template.
pub const BUILT_IN: &str = "stack.yaml.tera";
/// The built-in template.
pub const BUILT_IN_TEXT: &str = include_str!("../../../../templates/stack.yaml.tera");
/// So many templates may include and extend each other.
const MAX_TEMPLATES: usize = 64;

/// What Tera gave: text with marks, and what the marks stand for.
#[derive(Debug)]
pub struct Output {
    /// The text, with marks of lines and values.
    pub text: String,
    /// The values, by the number in their marks: each with the index of its site.
    pub values: Vec<(Json, usize)>,
    /// Places in templates.
    pub sites: Sites,
}

/// Renders a project's template, or the built-in one.
///
/// # Errors
/// Problems of the templates' syntax, of what they name, and of running them.
pub fn run(template: Option<&ProjectPath>, context: &Json) -> Result<Output, Problems> {
    let mut set = Set {
        prepared: Vec::new(),
        sites: Sites::new(),
    };
    let built_in = SourceFile::new(format!("{BUILT_IN} (built in)"), BUILT_IN_TEXT);
    set.add(BUILT_IN, &built_in)?;
    let main = match template {
        Some(path) => set.load(path)?,
        None => BUILT_IN.to_owned(),
    };
    set.render(&main, context)
}

struct Set {
    prepared: Vec<(String, Prepared)>,
    sites: Sites,
}

impl Set {
    fn add(&mut self, name: &str, file: &Arc<SourceFile>) -> Result<(), Problem> {
        let prepared = prepare(file, &mut self.sites)?;
        self.prepared.push((name.to_owned(), prepared));
        Ok(())
    }

    /// Reads a project's template and those that it includes or extends from its directory.
    fn load(&mut self, path: &ProjectPath) -> Result<String, Problem> {
        let dir = path.path.parent().unwrap_or(Path::new("/")).to_owned();
        let shown = path.written.as_str();
        let main = format!("project:{shown}");
        let file = SourceFile::read(&path.path, shown).map_err(|p| p.or_at(&path.written.span))?;
        let shown_dir = shown
            .rsplit_once('/')
            .map_or(String::new(), |(d, _)| format!("{d}/"));
        let mut waiting = references(&file);
        self.add(&main, &file)?;
        while let Some((name, span)) = waiting.pop() {
            if self.prepared.iter().any(|(n, _)| *n == name) {
                continue;
            }
            if self.prepared.len() >= MAX_TEMPLATES {
                return Err(Problem::at(
                    ProblemKind::TooLarge,
                    &span,
                    format!("more than {MAX_TEMPLATES} templates take part"),
                ));
            }
            let written = crate::yaml::Spanned::new(name.clone(), span.clone());
            let at = crate::project::path::inside(&dir, &dir, &written)?;
            let file = SourceFile::read(&at, format!("{shown_dir}{name}")).map_err(|p| {
                p.or_at(&span).help(format!(
                    "templates are looked for beside {shown}; `{BUILT_IN}` is the built-in one"
                ))
            })?;
            waiting.extend(references(&file));
            self.add(&name, &file)?;
        }
        Ok(main)
    }

    fn render(self, main: &str, context: &Json) -> Result<Output, Problems> {
        let values: Arc<Mutex<Vec<(Json, usize)>>> = Arc::default();
        let mut tera = Tera::new();
        install(&mut tera, &values);
        tera.autoescape_on([""]);
        let texts = self
            .prepared
            .iter()
            .map(|(n, p)| (n.as_str(), p.text.as_str()));
        let rendered = tera
            .add_raw_templates(texts)
            .and_then(|()| Context::from_serialize(&Plain(context)))
            .and_then(|cx| tera.render(main, &cx));
        match rendered {
            Ok(text) => Ok(Output {
                text,
                values: std::mem::take(&mut *lock(&values)),
                sites: self.sites,
            }),
            Err(e) => Err(self.explain(&e)),
        }
    }

    fn explain(&self, error: &tera::Error) -> Problems {
        match error.kind() {
            ErrorKind::SyntaxError(r) | ErrorKind::RenderingError(r) => {
                let range = r.span().range.clone();
                let message = clean(r.message());
                let found = self.prepared.iter().find(|(n, _)| n == r.filename());
                match found {
                    Some((_, p)) => Problem::at(
                        ProblemKind::Syntax,
                        &p.place(range.start, range.len()),
                        message,
                    ),
                    None => Problem::new(ProblemKind::Syntax, message),
                }
                .into()
            }
            _ => self.explain_report(&error.to_string()),
        }
    }

    /// Tera gives several problems as one text; each names its template, line and column.
    fn explain_report(&self, report: &str) -> Problems {
        let pattern = r"(?m)^error: (?<what>.*)\n\s*--> (?<file>.*):(?<line>\d+):(?<col>\d+)$";
        let Ok(pattern) = Regex::new(pattern) else {
            return Problem::new(ProblemKind::Syntax, clean(report)).into();
        };
        let mut problems = Problems::default();
        for c in pattern.captures_iter(report) {
            let mut p = Problem::new(ProblemKind::Syntax, clean(&c["what"]));
            let (line, col): (usize, usize) = (
                c["line"].parse().unwrap_or(1),
                c["col"].parse().unwrap_or(1),
            );
            if let Some((_, prepared)) = self.prepared.iter().find(|(n, _)| *n == c["file"]) {
                let offset = offset(&prepared.text, line, col);
                p = p.or_at(&prepared.place(offset, 1));
            }
            problems.push(p);
        }
        if problems.0.is_empty() {
            problems.push(Problem::new(ProblemKind::Syntax, clean(report)));
        }
        problems
    }
}

/// A message without what the preparation put into the template.
fn clean(message: &str) -> String {
    let mut text: String = message
        .chars()
        .filter(|c| !super::scan::is_mark(*c))
        .collect();
    if let Some(first) = text.chars().next() {
        text.replace_range(..first.len_utf8(), &first.to_lowercase().to_string());
    }
    text.trim_end_matches('.').to_owned()
}

fn offset(text: &str, line: usize, col: usize) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum();
    let rest = &text[start.min(text.len())..];
    start
        + rest
            .char_indices()
            .nth(col.saturating_sub(1))
            .map_or(0, |(i, _)| i)
}

/// The templates that a template extends or includes.
fn references(file: &Arc<SourceFile>) -> Vec<(String, crate::source::Span)> {
    let Ok(pattern) = Regex::new(r#"\{%-?\s*(?:extends|include)\s+["'`]([^"'`]+)["'`]"#) else {
        return Vec::new();
    };
    pattern
        .captures_iter(&file.text)
        .filter_map(|c| c.get(1))
        .map(|m| {
            let before = &file.text[..m.start()];
            let line = before.matches('\n').count() + 1;
            let col = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
            let len = m.as_str().chars().count();
            let span = crate::source::Span::in_line(file, line as u32, col as u32, len as u32);
            (m.as_str().to_owned(), span)
        })
        .collect()
}

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Registers the encoding filter, and takes away the filters that would pass it by.
fn install(tera: &mut Tera, values: &Arc<Mutex<Vec<(Json, usize)>>>) {
    let values = values.clone();
    tera.register_filter("yaml", move |v: Value, args: Kwargs, _: &State<'_>| {
        encode(&v, &args, &values)
    });
    for name in [
        "safe",
        "escape",
        "escape_html",
        "escape_xml",
        "newlines_to_br",
        "indent",
    ] {
        tera.register_filter(name, move |_: Value, _: Kwargs, _: &State<'_>| {
            Err::<Value, _>(tera::Error::message(format!(
                "`{name}` is not for stack templates: every value is encoded as YAML"
            )))
        });
    }
    tera.register_filter("join", |items: Vec<Value>, args: Kwargs, _: &State<'_>| {
        let sep = args.get::<&str>("sep")?.unwrap_or("").to_owned();
        let items: Vec<String> = items.iter().map(ToString::to_string).collect();
        TeraResult::Ok(items.join(&sep))
    });
    tera.register_filter("without", |v: Value, args: Kwargs, _: &State<'_>| {
        let key = args.must_get::<&str>("key")?;
        edit(v, |map| {
            map.shift_remove(&tera::value::Key::from(key.to_owned()));
        })
    });
    tera.register_filter("with", |v: Value, args: Kwargs, _: &State<'_>| {
        let (key, value) = (
            args.must_get::<&str>("key")?,
            args.must_get::<Value>("value")?,
        );
        edit(v, |map| {
            map.insert(tera::value::Key::from(key.to_owned()), value);
        })
    });
    // What nothing but a safe text may reach: the scanner has put every value through `yaml`.
    tera.set_escape_fn(|_, _| {
        Err(std::io::Error::other(
            "a value left the template without its encoding",
        ))
    });
}

fn edit(v: Value, change: impl FnOnce(&mut tera::Map)) -> TeraResult<Value> {
    let kind = v.name();
    let Some(mut map) = v.into_map() else {
        return Err(tera::Error::message(format!(
            "a mapping is wanted here, not a {kind}"
        )));
    };
    change(&mut map);
    Ok(Value::from(map))
}

/// The filter `yaml`: notes the value, and leaves a mark in its place.
fn encode(v: &Value, args: &Kwargs, values: &Mutex<Vec<(Json, usize)>>) -> TeraResult<Value> {
    // Text that the template itself made (a block that was set, a component, or a value with
    // an explicit filter): its values are marks already.
    if v.is_string() && v.is_safe() {
        return Ok(v.clone());
    }
    if v.is_undefined() {
        return Err(tera::Error::message("this value is not defined"));
    }
    let json = serde_json::to_value(v).map_err(|e| tera::Error::message(e.to_string()))?;
    let site = args.get::<u64>("at")?.map_or(usize::MAX, |n| n as usize);
    let mut values = lock(values);
    values.push((json, site));
    let n = values.len() - 1;
    Ok(Value::safe_string(&format!(
        "{}{n}{}",
        VALUE_MARK.0, VALUE_MARK.1
    )))
}

/// JSON for Tera. (`serde_json` writes its numbers in a way that only itself understands.)
struct Plain<'j>(&'j Json);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Json::Null => s.serialize_none(),
            Json::Bool(b) => s.serialize_bool(*b),
            Json::Number(n) => match (n.as_i64(), n.as_u64()) {
                (Some(n), _) => s.serialize_i64(n),
                (None, Some(n)) => s.serialize_u64(n),
                _ => s.serialize_f64(n.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(t) => s.serialize_str(t),
            Json::Array(items) => {
                let mut seq = s.serialize_seq(Some(items.len()))?;
                items
                    .iter()
                    .try_for_each(|i| seq.serialize_element(&Plain(i)))?;
                seq.end()
            }
            Json::Object(map) => {
                let mut out = s.serialize_map(Some(map.len()))?;
                map.iter()
                    .try_for_each(|(k, v)| out.serialize_entry(k, &Plain(v)))?;
                out.end()
            }
        }
    }
}
