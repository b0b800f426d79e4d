//! `flags`: where production's feature flags are, and which of them are run both ways.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value as Json;

use super::decode::{Named, keep};
use super::{ProjectPath, path};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::flags::Format;
use crate::source::Span;
use crate::yaml::{Node, Spanned, from_node};

/// Feature flags.
#[derive(Debug, Clone)]
pub struct Flags {
    /// The file that holds production's flags; absent = they are variables of services.
    pub file: Option<ProjectPath>,
    /// Their format; absent = it is found out.
    pub format: Option<Spanned<Format>>,
    /// The environment of Unleash that is production's.
    pub environment: Option<Spanned<String>>,
    /// The beginning of the names of variables that are flags.
    pub prefix: Option<Spanned<String>>,
    /// Names of variables that are flags.
    pub names: Vec<Spanned<String>>,
    /// The services that read them; empty = all to which they are given.
    pub services: Vec<Spanned<String>>,
    /// The flags that every scenario is run with both ways.
    pub matrix: Matrix,
    /// The revision that `matrix: changed` compares with.
    pub since: Option<Spanned<String>>,
}

/// The flags that every scenario is run with both ways.
#[derive(Debug, Clone, Default)]
pub enum Matrix {
    /// None.
    #[default]
    Nothing,
    /// All that have more than one value.
    All(Span),
    /// Those whose state differs from that of a revision.
    Changed(Span),
    /// These; each with the values that it is run with, or with all when there are none.
    Named(Vec<Named<Vec<Spanned<Json>>>>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
struct Written {
    #[serde(default)]
    file: Option<Spanned<String>>,
    #[serde(default)]
    format: Option<Spanned<Format>>,
    #[serde(default)]
    environment: Option<Spanned<String>>,
    #[serde(default)]
    prefix: Option<Spanned<String>>,
    #[serde(default)]
    names: Vec<Spanned<String>>,
    #[serde(default)]
    services: Vec<Spanned<String>>,
    #[serde(default)]
    matrix: Option<Node>,
    #[serde(default)]
    since: Option<Spanned<String>>,
}

/// Reads the section.
pub(super) fn read(root: &Path, node: &Node, problems: &mut Problems) -> Option<Flags> {
    let written: Written = keep(
        from_node(node).map_err(|p| super::decode::under(p, "flags")),
        problems,
    )?;
    let file = match &written.file {
        Some(file) => Some(keep(path::existing(root, file), problems)?),
        None => None,
    };
    let is_env = written
        .format
        .as_ref()
        .is_some_and(|f| f.value == Format::Env);
    let by_name = written.prefix.as_ref().or(written.names.first());
    match (&written.file, by_name) {
        (Some(file), _) if is_env => problems.push(
            Problem::at(
                ProblemKind::Conflict,
                &file.span,
                "flags that are variables of services are read in production's spec, not in a file",
            )
            .help("leave `file` out, and say which variables are flags: `prefix: FEATURE_`"),
        ),
        (Some(_), Some(name)) => problems.push(
            Problem::at(
                ProblemKind::Conflict,
                &name.span,
                "`prefix` and `names` are for flags that are variables; these are in a file",
            )
            .help("take one of them out"),
        ),
        (None, None) => problems.push(
            Problem::at(ProblemKind::Missing, &node.span, "`flags` does not say where production's flags are")
                .help("write `file: production/flags.json`, or for variables of services `prefix: FEATURE_`"),
        ),
        _ => {}
    }
    if let (None, Some(format)) = (&written.file, &written.format)
        && !is_env
        && by_name.is_some()
    {
        let text = format!(
            "flags of {} are in a file, and none is named",
            format.value.word()
        );
        problems.push(Problem::at(ProblemKind::Missing, &format.span, text));
    }
    let matrix = written
        .matrix
        .as_ref()
        .map_or(Matrix::Nothing, |n| matrix(n, problems));
    if let (Matrix::Changed(span), None) = (&matrix, &file) {
        problems.push(
            Problem::at(
                ProblemKind::Unsupported,
                span,
                "`matrix: changed` is for flags in a file",
            )
            .help("name the flags, or write `all`"),
        );
    }
    Some(Flags {
        file,
        format: written.format,
        environment: written.environment,
        prefix: written.prefix.filter(|p| !p.is_empty()),
        names: written.names,
        services: written.services,
        matrix,
        since: written.since,
    })
}

/// `changed`, `all`, names, or names with their values.
fn matrix(node: &Node, problems: &mut Problems) -> Matrix {
    let of = |n: &Node| Spanned::new(n.to_json(), n.span.clone());
    match (node.as_str(), node.as_seq(), node.as_map()) {
        (Some("all"), ..) => return Matrix::All(node.span.clone()),
        (Some("changed"), ..) => return Matrix::Changed(node.span.clone()),
        (_, Some(items), _) => {
            let read = items.iter().map(|n| {
                let name: Result<Spanned<String>, Problem> = from_node(n);
                let name = name.map_err(|p| super::decode::under(p, "matrix"))?;
                Ok(Named {
                    name,
                    value: Vec::new(),
                })
            });
            return Matrix::Named(read.filter_map(|r| keep(r, problems)).collect());
        }
        (.., Some(map)) => {
            let read = map.0.iter().map(|(name, entry)| {
                let one = std::slice::from_ref(&entry.node);
                let values = entry.node.as_seq().unwrap_or(one);
                Named {
                    name: Spanned::new(name.clone(), entry.key.clone()),
                    value: values.iter().map(of).collect(),
                }
            });
            return Matrix::Named(read.collect());
        }
        _ if node.is_null() => return Matrix::Nothing,
        _ => {}
    }
    problems.push(
        Problem::at(
            ProblemKind::InvalidValue,
            &node.span,
            "`matrix` is `changed`, `all`, or a list of flags",
        )
        .help("write `matrix: [checkout_v2]`, or with values `matrix: { checkout_v2: [on, off] }`"),
    );
    Matrix::Nothing
}
