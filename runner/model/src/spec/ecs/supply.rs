//! What `mirror.yaml` gives under `supply: ecs:`, because a task definition cannot hold it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::project::path;
use crate::source::{SourceFile, Span};
use crate::spec::Sources;
use crate::spec::compose::Input;
use crate::yaml::{Mapping, Node, Spanned, Value, ViaKind};

const KEYS: [&str; 3] = ["placeholders", "env_files", "names"];

/// The text of a file of variables.
pub(super) struct EnvText {
    /// The text.
    pub file: Arc<SourceFile>,
    /// Where `mirror.yaml` says it, when it is no file of its own.
    pub at: Option<Span>,
}

/// What is supplied, and what of it was asked for.
#[derive(Debug, Default)]
pub(super) struct Supply {
    placeholders: Mapping,
    env_files: Mapping,
    names: Mapping,
    used: BTreeSet<String>,
    /// Files that were read.
    pub inputs: Vec<Input>,
}

impl Supply {
    /// Reads the section.
    ///
    /// # Errors
    /// Keys that it does not have, and values of a wrong type.
    pub fn of(sources: &Sources<'_>) -> Result<Self, Problems> {
        let mut supply = Self::default();
        let Some(section) = sources.supply.get("ecs").filter(|n| !n.is_null()) else {
            return Ok(supply);
        };
        let wrong = |node: &Node, what: &str| {
            let message = format!("`{what}` is {}; a mapping is expected", node.kind());
            Problem::at(ProblemKind::WrongType, &node.span, message)
        };
        let map = section
            .as_map()
            .ok_or_else(|| wrong(section, "supply.ecs"))?;
        for (key, entry) in &map.0 {
            let part = match key.as_str() {
                "placeholders" => &mut supply.placeholders,
                "env_files" => &mut supply.env_files,
                "names" => &mut supply.names,
                _ => return Err(unknown_key(key, entry).into()),
            };
            if !entry.node.is_null() {
                let map = entry.node.as_map();
                *part = map.ok_or_else(|| wrong(&entry.node, key))?.clone();
            }
        }
        Ok(supply)
    }

    /// The value of a placeholder, by its whole text.
    pub fn placeholder(&mut self, text: &str) -> Option<Node> {
        self.used.insert(format!("placeholders.{text}"));
        self.placeholders.get(text).cloned()
    }

    /// Fills in the placeholders that stand in the texts of a value.
    pub fn fill(&mut self, node: &mut Node) {
        if self.placeholders.is_empty() {
            return;
        }
        match &mut node.value {
            Value::Seq(items) => items.iter_mut().for_each(|n| self.fill(n)),
            Value::Map(map) => map.iter_mut().for_each(|(_, n)| self.fill(n)),
            Value::Str(text) => {
                if let Some((value, at)) = self.filled(text) {
                    node.value = value;
                    node.add_via(ViaKind::Supply, at);
                }
            }
            _ => {}
        }
    }

    fn filled(&mut self, text: &str) -> Option<(Value, Span)> {
        if let Some(given) = self.placeholders.get(text) {
            self.used.insert(format!("placeholders.{text}"));
            return Some((given.value.clone(), given.span.clone()));
        }
        let mut result: Option<(String, Span)> = None;
        for (placeholder, given) in self.placeholders.iter() {
            let Some(value) = given.scalar_text() else {
                continue;
            };
            let now = result.as_ref().map_or(text, |(t, _)| t);
            if !placeholder.is_empty() && now.contains(placeholder) {
                self.used.insert(format!("placeholders.{placeholder}"));
                result = Some((now.replace(placeholder, &value), given.span.clone()));
            }
        }
        result.map(|(text, at)| (Value::Str(text), at))
    }

    /// Names by which others call a task, by its family or its service.
    pub fn names(&mut self, of: &str) -> Option<&Node> {
        self.used.insert(format!("names.{of}"));
        self.names.get(of)
    }

    /// The text of a file of variables, by its ARN or the last part of that.
    pub fn env_file(
        &mut self,
        arn: &str,
        sources: &Sources<'_>,
    ) -> Option<Result<EnvText, Problem>> {
        let last = arn.rsplit('/').next().unwrap_or(arn);
        let key = [arn, last]
            .into_iter()
            .find(|k| self.env_files.contains_key(k))?;
        self.used.insert(format!("env_files.{key}"));
        let node = self.env_files.get(key)?.clone();
        Some(self.read(&node, sources))
    }

    fn read(&mut self, node: &Node, sources: &Sources<'_>) -> Result<EnvText, Problem> {
        let text = |key: &str| node.get(key).and_then(Node::as_str).map(str::to_owned);
        let short = node.as_str().map(str::to_owned);
        match (text("file").or(short), text("content")) {
            (Some(file), None) => {
                let written = Spanned::new(file.clone(), node.span.clone());
                let found = path::existing(sources.root, &written)?;
                let file = SourceFile::read(&found.path, file)?;
                self.inputs.push(Input {
                    path: found.path,
                    sha256: crate::spec::sha256(&file),
                });
                Ok(EnvText { file, at: None })
            }
            (None, Some(content)) => Ok(EnvText {
                file: SourceFile::new("", content),
                at: Some(node.span.clone()),
            }),
            _ => Err(Problem::at(
                ProblemKind::InvalidValue,
                &node.span,
                "a supplied env file has exactly one of `file` and `content`",
            )),
        }
    }

    /// Warnings of what was supplied and nobody asked for.
    pub fn unused(&self) -> Vec<Problem> {
        let parts = [
            ("placeholders", &self.placeholders),
            ("env_files", &self.env_files),
            ("names", &self.names),
        ];
        let entries = parts
            .into_iter()
            .flat_map(|(part, map)| map.0.iter().map(move |(key, e)| (part, key, e)));
        entries
            .filter(|(part, key, _)| !self.used.contains(&format!("{part}.{key}")))
            .map(|(part, key, e)| {
                Problem::at(
                    ProblemKind::UnknownReference,
                    &e.key,
                    format!("no task definition asks for `{key}` of `supply.ecs.{part}`"),
                )
                .warning()
                .help("remove it, or write it exactly as it stands there")
            })
            .collect()
    }
}

fn unknown_key(key: &str, entry: &crate::yaml::Entry) -> Problem {
    let help = match nearest(key, KEYS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", KEYS.join(", ")),
    };
    Problem::at(
        ProblemKind::UnknownKey,
        &entry.key,
        format!("`supply.ecs` has no key `{key}`"),
    )
    .help(help)
}
