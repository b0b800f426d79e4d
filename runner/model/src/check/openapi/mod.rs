//! `openapi`: the request and the response are as an OpenAPI file describes them.

mod body;
mod coverage;
mod exchange;
mod parameter;
mod schema;
mod spec;

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

pub use self::coverage::{Coverage, CoverageBook, FileCoverage, Used};
use self::exchange::Exchange;
pub use self::spec::{Operation, Spec};
use super::predicate::Finding;
use crate::diag::{Problem, ProblemKind, nearest};
use crate::event::{Mismatch, Place};
use crate::source::Span;
use crate::template::{Document, Scope};
use crate::yaml::{Mapping, Node, Spanned};

/// A compiled `openapi` expectation.
#[derive(Debug)]
pub struct OpenApi {
    file: Spanned<String>,
    operation: Option<Spanned<String>>,
    span: Span,
    spec: OnceLock<Result<Arc<Spec>, Problem>>,
}

impl OpenApi {
    /// Reads `{ openapi: file.yaml }` or `{ openapi: { file: …, operation: … } }`. The file is
    /// looked for beside the scenario's.
    ///
    /// # Errors
    /// All that is wrong with it, and with the file.
    pub fn read(map: &Mapping, span: &Span, fields: &[&str]) -> Result<Self, Vec<Problem>> {
        let Some(node) = map.get("openapi") else {
            return Err(Vec::new());
        };
        let mut problems = Vec::new();
        if !fields.contains(&"request") {
            problems.push(
                Problem::at(
                    ProblemKind::Unsupported,
                    &node.span,
                    "this step sends no HTTP request that an OpenAPI file could describe",
                )
                .help("`openapi` goes with `http`"),
            );
        }
        for (key, entry) in map.0.iter().filter(|(k, _)| k.as_str() != "openapi") {
            problems.push(
                Problem::at(
                    ProblemKind::UnknownKey,
                    &entry.key,
                    format!("unknown key `{key}` beside `openapi`"),
                )
                .help("write `openapi: { file: openapi.yaml, operation: getOrder }`"),
            );
        }
        let (file, operation) = match arguments(node) {
            Ok(a) => a,
            Err(p) => {
                problems.extend(p);
                return Err(problems);
            }
        };
        let read = Self {
            file,
            operation,
            span: span.clone(),
            spec: OnceLock::new(),
        };
        // A text that is in no file has no file beside it; then the run looks for it.
        if read.span.file.path.is_some() {
            match read.spec() {
                Ok(spec) => problems.extend(read.unknown_operation(&spec)),
                Err(p) => problems.push(p),
            }
        }
        if problems.is_empty() {
            Ok(read)
        } else {
            Err(problems)
        }
    }

    fn spec(&self) -> Result<Arc<Spec>, Problem> {
        let load = || {
            let source = &self.file.span.file;
            let name = source.name_beside(&self.file.value);
            Spec::load(&source.beside(&self.file.value), &name)
                .map_err(|p| p.or_at(&self.file.span))
        };
        self.spec.get_or_init(load).clone()
    }

    fn unknown_operation(&self, spec: &Spec) -> Option<Problem> {
        let wanted = self.operation.as_ref()?;
        if spec.by_id(&wanted.value).is_some() {
            return None;
        }
        let p = Problem::at(
            ProblemKind::UnknownReference,
            &wanted.span,
            format!("{} has no operation `{}`", spec.name, wanted.value),
        );
        let known: Vec<&str> = spec.ids().collect();
        Some(match nearest(&wanted.value, known.iter().copied()) {
            Some(n) => p.help(format!("did you mean `{n}`?")),
            None if known.is_empty() => p.help("its operations have no `operationId`"),
            None => p.help(format!("it has {}", known.join(", "))),
        })
    }

    /// Tells all violations of the request and of the response.
    pub fn check(&self, document: &Document, scope: &Scope) -> Vec<Mismatch> {
        let spec = match self.spec().and_then(|s| match self.unknown_operation(&s) {
            Some(p) => Err(p),
            None => Ok(s),
        }) {
            Ok(s) => s,
            Err(p) => {
                let finding = Finding::new("", "an OpenAPI file", p.message).hint(p.help);
                return vec![self.mismatch(finding)];
            }
        };
        let exchange = match Exchange::of(document) {
            Ok(e) => e,
            Err(why) => {
                return vec![self.mismatch(Finding::new("", "a request and its response", why))];
            }
        };
        let wanted = self.operation.as_ref().map(|o| o.value.as_str());
        let (operation, findings) = exchange.check(&spec, wanted);
        if let (Some(operation), Some(book)) = (operation, &scope.hooks().coverage) {
            book.note(&spec, operation, exchange.status);
        }
        findings.into_iter().map(|f| self.mismatch(f)).collect()
    }

    fn mismatch(&self, f: Finding) -> Mismatch {
        let text = self.span.text();
        Mismatch {
            expectation: text.split_whitespace().collect::<Vec<_>>().join(" "),
            kind: "openapi".into(),
            place: self.span.is_real().then(|| Place::from(&self.span)),
            expected: f.expected,
            actual: f.actual,
            path: Some(f.path).filter(|p| !p.is_empty()),
            hint: f.hint,
        }
    }
}

type Arguments = (Spanned<String>, Option<Spanned<String>>);

fn arguments(node: &Node) -> Result<Arguments, Vec<Problem>> {
    let text = |n: &Node, key: &str| match n.as_str() {
        Some(s) if crate::template::has_tags(s) => Err(Problem::at(
            ProblemKind::Unsupported,
            &n.span,
            format!("`{key}` is taken as it stands, without templates"),
        )),
        Some(s) => Ok(Spanned::new(s.to_owned(), n.span.clone())),
        None => Err(Problem::at(
            ProblemKind::WrongType,
            &n.span,
            format!("`{key}` is a text, found {}", n.kind()),
        )),
    };
    let Some(map) = node.as_map() else {
        return text(node, "openapi")
            .map(|f| (f, None))
            .map_err(|p| vec![p.help("write `openapi: openapi.yaml`")]);
    };
    let mut problems = Vec::new();
    let (mut file, mut operation) = (None, None);
    for (key, entry) in &map.0 {
        let read = match key.as_str() {
            "file" => text(&entry.node, "file").map(|t| file = Some(t)),
            "operation" => text(&entry.node, "operation").map(|t| operation = Some(t)),
            _ => Err(Problem::at(
                ProblemKind::UnknownKey,
                &entry.key,
                format!("unknown key `{key}` in `openapi`"),
            )
            .help("it has `file` and `operation`")),
        };
        problems.extend(read.err());
    }
    match file {
        Some(file) if problems.is_empty() => Ok((file, operation)),
        _ => {
            if problems.is_empty() {
                problems.push(
                    Problem::at(ProblemKind::Missing, &node.span, "`openapi` names no file")
                        .help("write `openapi: { file: openapi.yaml }`"),
                );
            }
            Err(problems)
        }
    }
}
