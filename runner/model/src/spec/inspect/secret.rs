//! Secrets in files: Compose mounts them below `/run/secrets`, and no inspection shows those
//! that it copied into the container.

use std::collections::{BTreeMap, BTreeSet};

use crate::diag::{Problem, ProblemKind};
use crate::fidelity::{Class, Severity};
use crate::policy::variable_of;
use crate::project::{Named, SecretSource, find, is_variable};
use crate::source::Span;
use crate::stack::secret_ref;
use crate::yaml::{Mapping, Node, Spanned, Value};

use super::draft::Draft;
use super::field::{list, mapping, object};

/// Where Compose puts secrets.
const DIRECTORIES: [&str; 2] = ["/run/secrets/", "/var/run/secrets/"];

/// The secrets of a capture, by name.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// The file on the host that each comes from (empty = unknown), and its place.
    by_name: BTreeMap<String, (String, Span)>,
}

impl Secrets {
    /// The name of the secret that a file of the host holds.
    pub fn of_file(
        &mut self,
        service: &str,
        target: &str,
        source: &str,
        span: &Span,
    ) -> Option<String> {
        let name = in_directory(target)?;
        let name = match self.by_name.get(name) {
            Some((known, _)) if known != source && !known.is_empty() && !source.is_empty() => {
                format!("{service}_{name}")
            }
            _ => name.to_owned(),
        };
        self.add(&name, source, span);
        Some(name)
    }

    /// Notes a secret.
    pub fn add(&mut self, name: &str, source: &str, span: &Span) {
        let entry = (source.to_owned(), span.clone());
        let known = self.by_name.entry(name.to_owned()).or_insert(entry);
        if known.0.is_empty() {
            source.clone_into(&mut known.0);
        }
    }

    /// The secrets as Compose declares them: their values are kept elsewhere.
    pub fn node(&self) -> Option<Node> {
        let mut out = Mapping::default();
        for (name, (_, span)) in &self.by_name {
            let external = Node::bool(true, span.clone());
            out.insert(name.clone(), mapping(span, [("external", Some(external))]));
        }
        let span = self.by_name.values().next()?.1.clone();
        Some(Node::new(Value::Map(out), span))
    }
}

/// The name of the secret at a path, when Compose would put one there.
pub(super) fn in_directory(target: &str) -> Option<&str> {
    let name = DIRECTORIES.iter().find_map(|d| target.strip_prefix(d))?;
    is_variable(&name.replace(['-', '.'], "_")).then_some(name)
}

/// A secret in a service.
pub(super) fn grant(name: &str, target: &str, span: &Span) -> Node {
    let text = |t: &str| Node::str(t, span.clone());
    let entries = [("source", Some(text(name))), ("target", Some(text(target)))];
    mapping(span, entries)
}

/// Paths of secrets that the container's variables, commands and health check name.
pub(super) fn named(d: &Draft<'_>) -> Vec<(String, Span)> {
    let check = object(d.c.config, "Healthcheck");
    let places = [
        list(d.c.config, "Env"),
        list(d.c.config, "Entrypoint"),
        list(d.c.config, "Cmd"),
        list(check, "Test"),
    ];
    let mut found: Vec<(String, Span)> = Vec::new();
    for node in places.into_iter().flatten() {
        for path in paths(node.as_str().unwrap_or("")) {
            if !found.iter().any(|(known, _)| *known == path) {
                found.push((path, node.span.clone()));
            }
        }
    }
    found
}

/// The paths of secrets in a text.
fn paths(text: &str) -> Vec<String> {
    const DIRECTORY: &str = "/run/secrets/";
    let mut found = Vec::new();
    for (at, _) in text.match_indices(DIRECTORY) {
        let rest = &text[at + DIRECTORY.len()..];
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
            .unwrap_or(rest.len());
        let name = rest[..end].trim_end_matches('.');
        // A name with a directory behind it is a tree that something else puts there.
        let is_tree = rest[end..].starts_with('/');
        if !name.is_empty() && !is_tree {
            found.push(format!("{DIRECTORY}{name}"));
        }
    }
    found
}

/// What begins the mask of a secret in a capture, and what ends it: `<secret NAME>`.
const MASK: (&str, &str) = ("<secret ", ">");

/// The secrets that `mirror.yaml` gives.
type Declared<'s> = &'s [Named<Spanned<SecretSource>>];

/// Secrets whose values were taken out of the capture, or are given in their place.
#[derive(Debug, Default)]
pub(super) struct Masked {
    /// Secrets that the capture asks for.
    pub asked: BTreeSet<String>,
    /// Those that nobody gives, each with the first place.
    missing: BTreeMap<String, Span>,
}

impl Masked {
    /// A variable that is called like a declared secret takes its value from there.
    pub fn given(&mut self, d: &mut Draft<'_>, declared: Declared<'_>) {
        let environment = d.out.get_mut("environment").and_then(Node::as_map_mut);
        let mut replaced = Vec::new();
        for (name, node) in environment.into_iter().flat_map(Mapping::iter_mut) {
            let Some(source) = find(declared, name).filter(|_| node.as_str().is_some()) else {
                continue;
            };
            node.value = Value::Str(secret_ref::token(&variable_of(name)));
            node.add_via(crate::yaml::ViaKind::Supply, source.span.clone());
            replaced.push((name.to_owned(), node.span.clone()));
        }
        for (name, span) in replaced {
            let field = format!("environment.{name}");
            let record = d.note(field, Class::Substituted, Severity::Low, &span);
            record.declared = "***".to_owned();
            record.actual = format!("the secret {name} of mirror.yaml");
            record.reason = "secrets of production stay there".to_owned();
            self.asked.insert(name);
        }
    }

    /// Puts what is given into the place of masks.
    pub fn unmask(&mut self, node: &mut Node, declared: Declared<'_>) {
        let span = node.span.clone();
        match &mut node.value {
            Value::Str(text) if text.contains(MASK.0) => {
                *text = self.text(text, &span, declared);
            }
            Value::Seq(items) => items.iter_mut().for_each(|n| self.unmask(n, declared)),
            Value::Map(map) => map.iter_mut().for_each(|(_, n)| self.unmask(n, declared)),
            _ => {}
        }
    }

    fn text(&mut self, text: &str, span: &Span, declared: Declared<'_>) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(MASK.0) {
            out.push_str(before);
            let name = after
                .split_once(MASK.1)
                .filter(|(name, _)| is_variable(name));
            let Some((name, tail)) = name else {
                out.push_str(MASK.0);
                rest = after;
                continue;
            };
            if find(declared, name).is_none() {
                self.missing
                    .entry(name.to_owned())
                    .or_insert_with(|| span.clone());
            }
            self.asked.insert(name.to_owned());
            out.push_str(&secret_ref::token(name));
            rest = tail;
        }
        out.push_str(rest);
        out
    }

    /// All secrets that nobody gives, at once.
    pub fn problem(&self) -> Option<Problem> {
        let (first, span) = self.missing.iter().next()?;
        let what = match self.missing.len() {
            1 => format!("the capture masks the secret `{first}`, and nothing gives its value"),
            n => format!("the capture masks {n} secrets, and nothing gives their values"),
        };
        let mut block = "give them in mirror.yaml:\nsecrets:".to_owned();
        for name in self.missing.keys() {
            block.push_str("\n  ");
            block.push_str(name);
            block.push_str(": { stub: VALUE }   # or { env: NAME }, { file: PATH }");
        }
        Some(Problem::at(ProblemKind::Missing, span, what).help(block))
    }
}
