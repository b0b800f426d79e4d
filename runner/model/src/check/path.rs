//! JSONPath (RFC 9535).

use serde_json::Value as Json;

use crate::diag::{Problem, ProblemKind};
use crate::source::Span;
use crate::template::locate;

/// A compiled path.
#[derive(Debug)]
pub struct JsonPath {
    source: String,
    path: serde_json_path::JsonPath,
    singular: bool,
}

impl JsonPath {
    /// Compiles a path.
    ///
    /// # Errors
    /// Where it is no valid path.
    pub fn new(source: &str, span: &Span) -> Result<Self, Problem> {
        let path = serde_json_path::JsonPath::parse(source).map_err(|e| {
            let at = e.position().min(source.len());
            let place = locate(span, source, at, (at + 1).min(source.len()));
            if source.starts_with('$') {
                return Problem::at(
                    ProblemKind::Syntax,
                    &place,
                    format!("invalid JSONPath: {} at `{}`", e.message(), &source[at..]),
                );
            }
            Problem::at(
                ProblemKind::Syntax,
                span,
                "invalid JSONPath: it does not start at the root, `$`",
            )
            .help(format!("write `$.{}`", source.trim_start_matches('.')))
        })?;
        // A query of names and single indices gives at most one value.
        let singular = !source.contains("..") && !source.contains(['*', '?', ':', ',']);
        Ok(Self {
            source: source.to_owned(),
            path,
            singular,
        })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it finds: the value for a path of names and indices, else the list of all values;
    /// `None` when a single value is not there.
    pub fn find(&self, json: &Json) -> Option<Json> {
        let mut nodes = self.path.query(json).all();
        if self.singular {
            nodes.pop().cloned()
        } else {
            Some(Json::Array(nodes.into_iter().cloned().collect()))
        }
    }

    /// Where it finds something, as JSON pointers.
    pub fn places(&self, json: &Json) -> Vec<String> {
        self.path
            .query_located(json)
            .locations()
            .map(|l| l.to_json_pointer())
            .collect()
    }

    /// As [`JsonPath::find`], without a copy where the value is single.
    pub fn with<T>(&self, json: &Json, use_it: impl FnOnce(Option<&Json>) -> T) -> T {
        if self.singular {
            use_it(self.path.query(json).first())
        } else {
            let all = self.find(json);
            use_it(all.as_ref())
        }
    }
}
