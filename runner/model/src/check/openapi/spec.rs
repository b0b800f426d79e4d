//! OpenAPI files: their operations, and which of them a request is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use percent_encoding::percent_decode_str;
use serde_json::Value as Json;

use super::schema::Schemas;
use crate::diag::{Problem, ProblemKind};
use crate::source::SourceFile;

/// References that lead from one to the next at most.
const HOPS: usize = 32;

/// Methods of operations, as paths have them.
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// An OpenAPI file that was read.
#[derive(Debug)]
pub struct Spec {
    /// What messages call it.
    pub name: String,
    pub(super) root: Json,
    pub(super) schemas: Schemas,
    /// Path prefixes of its servers, without a slash at their end; the empty one is last.
    bases: Vec<String>,
    operations: Vec<Operation>,
}

/// One operation: a path and a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The method, in upper case.
    pub method: String,
    /// The path with its parameters in braces.
    pub path: String,
    /// Its `operationId`.
    pub id: Option<String>,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Names of parameters with their values, as a request has them.
pub(super) type Values = Vec<(String, String)>;

/// Which operation a request is, or what is next to it.
pub(super) enum Found<'s> {
    /// This one, with the values of the path's parameters.
    Operation(&'s Operation, Values),
    /// The path has other methods only.
    Methods(Vec<&'s Operation>),
    /// No path is like it.
    Nothing,
}

type Read = HashMap<PathBuf, (Option<SystemTime>, Weak<Spec>)>;

/// Files that were read: many scenarios name the same.
static READ: LazyLock<Mutex<Read>> = LazyLock::new(Mutex::default);

impl Spec {
    /// Reads a file, or gives it as it was read before.
    ///
    /// # Errors
    /// A file that cannot be read, or is no OpenAPI 3.
    pub fn load(path: &Path, name: &str) -> Result<Arc<Self>, Problem> {
        let changed = || std::fs::metadata(path).and_then(|m| m.modified()).ok();
        let now = changed();
        let known = |read: &Read| match read.get(path) {
            Some((at, spec)) if *at == now && now.is_some() => spec.upgrade(),
            _ => None,
        };
        let lock = || READ.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spec) = known(&lock()) {
            return Ok(spec);
        }
        let file = SourceFile::read(path, name)?;
        let spec = Arc::new(Self::parse(&file)?);
        lock().insert(path.to_owned(), (now, Arc::downgrade(&spec)));
        Ok(spec)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// As [`Spec::load`].
    pub fn parse(file: &Arc<SourceFile>) -> Result<Self, Problem> {
        let root = crate::yaml::parse_one(file)?.to_json();
        let no = |what: String| Problem::new(ProblemKind::InvalidValue, what);
        let version = root
            .get("openapi")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let nullable = match version.split('.').take(2).collect::<Vec<_>>().as_slice() {
            ["3", "0"] => true,
            ["3", "1"] => false,
            _ if root.get("swagger").is_some() => {
                return Err(no(format!("{} is Swagger 2, not OpenAPI 3", file.name))
                    .help("convert it, for example with swagger2openapi"));
            }
            _ => {
                return Err(no(format!("{} is not OpenAPI 3.0 or 3.1", file.name))
                    .help("it has no `openapi: 3.0.x` or `3.1.x` at its top"));
            }
        };
        if let Some(other) = foreign_reference(&root) {
            return Err(no(format!(
                "{} refers to another file, `{other}`, and such references are not followed",
                file.name
            ))
            .help("bundle it into one file, for example with `redocly bundle`"));
        }
        let mut spec = Self {
            name: file.name.clone(),
            bases: bases(&root),
            schemas: Schemas::new(&root, nullable),
            operations: Vec::new(),
            root,
        };
        spec.operations = spec.all_operations();
        Ok(spec)
    }

    /// All operations, in the file's order.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The `operationId`s.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.operations.iter().filter_map(|o| o.id.as_deref())
    }

    /// The operation of an `operationId`.
    pub fn by_id(&self, id: &str) -> Option<&Operation> {
        self.operations.iter().find(|o| o.id.as_deref() == Some(id))
    }

    fn all_operations(&self) -> Vec<Operation> {
        let paths = self.root.get("paths").and_then(Json::as_object);
        let mut found = Vec::new();
        for (path, item) in paths.into_iter().flatten() {
            let item = self.resolve(item);
            for method in METHODS {
                if let Some(o) = item.get(method) {
                    found.push(Operation {
                        method: method.to_ascii_uppercase(),
                        path: path.clone(),
                        id: o
                            .get("operationId")
                            .and_then(Json::as_str)
                            .map(str::to_owned),
                    });
                }
            }
        }
        found
    }

    /// The path's item and the operation in it.
    pub(super) fn nodes(&self, o: &Operation) -> Option<(&Json, &Json)> {
        let item = self.resolve(self.root.get("paths")?.get(&o.path)?);
        Some((item, item.get(o.method.to_ascii_lowercase())?))
    }

    /// Follows `$ref`s of this file.
    pub(super) fn resolve<'s>(&'s self, node: &'s Json) -> &'s Json {
        let mut node = node;
        for _ in 0..HOPS {
            let target = node
                .get("$ref")
                .and_then(Json::as_str)
                .and_then(|r| r.strip_prefix('#'))
                .and_then(|p| {
                    self.root
                        .pointer(&percent_decode_str(p).decode_utf8_lossy())
                });
            match target {
                Some(t) => node = t,
                None => return node,
            }
        }
        node
    }

    /// Which operation a request is. A path that is written out is nearer than one with
    /// parameters.
    pub(super) fn find(&self, method: &str, path: &str) -> Found<'_> {
        let mut others = Vec::new();
        let mut best: Option<(usize, &Operation, Values)> = None;
        for base in &self.bases {
            let Some(rest) = path.strip_prefix(base.as_str()) else {
                continue;
            };
            for o in &self.operations {
                let Some((literal, values)) = fits(&o.path, rest) else {
                    continue;
                };
                if o.method != method {
                    others.push(o);
                } else if best.as_ref().is_none_or(|(n, ..)| literal > *n) {
                    best = Some((literal, o, values));
                }
            }
            if best.is_some() {
                break;
            }
        }
        match best {
            Some((_, o, values)) => Found::Operation(o, values),
            None if !others.is_empty() => {
                others.dedup();
                Found::Methods(others)
            }
            None => Found::Nothing,
        }
    }
}

/// Whether a path is of a template: how many of its characters are literal, and the values.
fn fits(template: &str, path: &str) -> Option<(usize, Values)> {
    let (t, p): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    if t.len() != p.len() {
        return None;
    }
    let mut literal = 0;
    let mut values = Vec::new();
    for (t, p) in t.into_iter().zip(p) {
        literal += segment(t, p, &mut values)?;
    }
    Some((literal, values))
}

/// `{id}`, `report.{format}`, `{from}-{to}`.
fn segment(template: &str, part: &str, values: &mut Values) -> Option<usize> {
    let Some((before, rest)) = template.split_once('{') else {
        let decoded = percent_decode_str(part).decode_utf8_lossy();
        return (template == part || template == decoded).then_some(template.len());
    };
    let (name, after) = rest.split_once('}')?;
    let part = part.strip_prefix(before)?;
    // The value ends where the next literal begins.
    let next = after.split('{').next().unwrap_or_default();
    let end = match (next.is_empty(), after.contains('{')) {
        (true, _) => part.len(),
        (false, true) => part.find(next)?,
        (false, false) => part
            .len()
            .checked_sub(next.len())
            .filter(|at| part.is_char_boundary(*at) && part.ends_with(next))?,
    };
    let value = &part[..end];
    if value.is_empty() {
        return None;
    }
    values.push((
        name.to_owned(),
        percent_decode_str(value).decode_utf8_lossy().into_owned(),
    ));
    segment(after, &part[end..], values).map(|n| n + before.len())
}

/// The paths of the servers, longest first; the last is none, for files whose servers are not
/// production's.
fn bases(root: &Json) -> Vec<String> {
    let servers = root.get("servers").and_then(Json::as_array);
    let mut found: Vec<String> = servers
        .into_iter()
        .flatten()
        .filter_map(|s| {
            let mut url = s.get("url")?.as_str()?.to_owned();
            for (name, v) in s
                .get("variables")
                .and_then(Json::as_object)
                .into_iter()
                .flatten()
            {
                let default = v.get("default").and_then(Json::as_str).unwrap_or_default();
                url = url.replace(&format!("{{{name}}}"), default);
            }
            let path = match url.split_once("://") {
                Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]).to_owned(),
                None => url,
            };
            Some(path.trim_end_matches('/').to_owned())
        })
        .filter(|p| p.starts_with('/'))
        .collect();
    found.sort_by_key(|p| std::cmp::Reverse(p.len()));
    found.push(String::new());
    found.dedup();
    found
}

/// A `$ref` into another file.
fn foreign_reference(root: &Json) -> Option<String> {
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        match node {
            Json::Object(o) => {
                if let Some(r) = o.get("$ref").and_then(Json::as_str)
                    && !r.starts_with('#')
                {
                    return Some(r.to_owned());
                }
                open.extend(o.values());
            }
            Json::Array(items) => open.extend(items),
            _ => {}
        }
    }
    None
}
