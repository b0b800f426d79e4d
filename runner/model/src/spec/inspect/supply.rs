//! What `mirror.yaml` supplies because no inspection shows it: the content of files.

use std::path::PathBuf;

use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::project::path;
use crate::spec::Sources;
use crate::yaml::{Mapping, Node, Spanned, Value};

/// What is given for one path of a service.
#[derive(Debug, Clone)]
pub(super) enum Given {
    /// A file or directory of the project.
    Path(PathBuf),
    /// A text.
    Content(String),
    /// The secret of this name.
    Secret(String),
    /// Nothing: an empty volume.
    Empty,
    /// The host's own path; the policy decides about it.
    Host,
}

/// What is given, and where `mirror.yaml` says so.
#[derive(Debug, Clone)]
pub(super) struct Supplied {
    /// What.
    pub given: Given,
    /// Where it is written.
    pub node: Node,
}

/// What `supply` says.
#[derive(Debug, Default)]
pub(super) struct Supply {
    /// By service and path in it.
    files: Vec<(String, String, Supplied)>,
    /// Directories of the host, with what stands for each.
    paths: Vec<(String, PathBuf, Node)>,
}

const FORMS: &str = "write one of { file: PATH }, { content: TEXT }, { secret: NAME }, { empty: true }, { host: true }";

impl Supply {
    /// Reads `supply.files` and `supply.paths`.
    pub fn read(sources: &Sources<'_>, services: &[&str], problems: &mut Problems) -> Self {
        let mut supply = Self::default();
        for (service, targets) in section(sources.supply, "files", problems).iter() {
            if !services.contains(&service) {
                let known = services.iter().copied();
                let help = match nearest(service, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("services: {}", services.join(", ")),
                };
                let what = format!("the capture has no service `{service}`");
                problems.push(
                    Problem::at(ProblemKind::UnknownReference, &targets.span, what).help(help),
                );
            }
            for (target, node) in targets.as_map().unwrap_or(&Mapping::default()).iter() {
                match form(sources, target, node) {
                    Ok(given) => supply.files.push((
                        service.to_owned(),
                        target.to_owned(),
                        Supplied {
                            given,
                            node: node.clone(),
                        },
                    )),
                    Err(p) => problems.push(p),
                }
            }
        }
        for (host, node) in section(sources.supply, "paths", problems).iter() {
            let written = Spanned::new(node.as_str().unwrap_or("").to_owned(), node.span.clone());
            match path::inside(sources.root, sources.root, &written) {
                Ok(path) => {
                    supply
                        .paths
                        .push((host.trim_end_matches('/').to_owned(), path, node.clone()))
                }
                Err(p) => problems.push(p),
            }
        }
        supply
    }

    /// What is given for a path of a service.
    pub fn of(&self, service: &str, target: &str) -> Option<&Supplied> {
        let found = self
            .files
            .iter()
            .find(|(s, t, _)| s == service && t == target);
        found.map(|(_, _, supplied)| supplied)
    }

    /// Everything that is given for a service.
    pub fn of_service<'a>(
        &'a self,
        service: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Supplied)> {
        let all = self.files.iter().filter(move |(s, ..)| s == service);
        all.map(|(_, target, supplied)| (target.as_str(), supplied))
    }

    /// What stands for a path of the host, by the longest directory of `paths` above it.
    pub fn below(&self, source: &str) -> Option<Supplied> {
        let (host, to, node) = self
            .paths
            .iter()
            .filter(|(host, ..)| {
                source
                    .strip_prefix(host.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .max_by_key(|(host, ..)| host.len())?;
        let rest = source[host.len()..].trim_start_matches('/');
        let found = path::normal(&to.join(rest));
        let given = found.starts_with(to) && found.exists();
        given.then(|| Supplied {
            given: Given::Path(found),
            node: node.clone(),
        })
    }
}

fn section<'s>(supply: &'s Mapping, key: &str, problems: &mut Problems) -> &'s Mapping {
    static NONE: std::sync::LazyLock<Mapping> = std::sync::LazyLock::new(Mapping::default);
    match supply.get(key) {
        None => &NONE,
        Some(node) => node.as_map().unwrap_or_else(|| {
            let what = format!("`supply.{key}` is a mapping, not {}", node.kind());
            problems.push(Problem::at(ProblemKind::WrongType, &node.span, what));
            &NONE
        }),
    }
}

fn form(sources: &Sources<'_>, target: &str, node: &Node) -> Result<Given, Problem> {
    let wrong = |what: String| Problem::at(ProblemKind::InvalidValue, &node.span, what).help(FORMS);
    let is_path = target.starts_with('/') && !target.contains('\0');
    if !is_path || target.split('/').any(|part| part == "..") {
        return Err(wrong(format!("`{target}` is no path in a container")));
    }
    let entries = node.as_map().filter(|m| m.len() == 1);
    let Some((key, value)) = entries.and_then(|m| m.iter().next()) else {
        return Err(wrong(format!(
            "what is supplied for `{target}` has exactly one key"
        )));
    };
    let text = value.scalar_text().filter(|_| value.as_map().is_none());
    match (key, text) {
        ("file", Some(file)) => {
            let written = Spanned::new(file, value.span.clone());
            let found = path::inside(sources.root, sources.root, &written)?;
            if !found.is_dir() {
                path::existing(sources.root, &written)?;
            }
            Ok(Given::Path(found))
        }
        ("content", Some(content)) if !content.is_empty() => Ok(Given::Content(content)),
        ("secret", Some(name)) => Ok(Given::Secret(name)),
        ("empty", _) if value.value == Value::Bool(true) => Ok(Given::Empty),
        ("host", _) if value.value == Value::Bool(true) => Ok(Given::Host),
        _ => Err(wrong(format!(
            "`{key}` is nothing that can be supplied for a path"
        ))),
    }
}
