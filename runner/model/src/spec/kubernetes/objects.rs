//! Objects of manifests: several documents, lists of objects, JSON; as they are written, or as
//! `helm template` and `kustomize build` print them.

use std::collections::BTreeMap;

use super::at::At;
use crate::diag::{Problem, ProblemKind, Problems};
use crate::source::{SourceFile, Span};
use crate::spec::Source;
use crate::yaml::{Mapping, Node, Value, parse_all};

/// Lists may hold lists, but nobody nests them deeper than this.
const MAX_LISTS: usize = 8;

/// An object of a cluster.
#[derive(Debug, Clone)]
pub struct Object {
    /// The group of its API; empty for the core.
    pub group: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace; `default` when it says none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// All of it.
    pub node: Node,
}

impl Object {
    /// Its place.
    pub fn span(&self) -> &Span {
        At::of(&self.node).get("metadata").get("name").span()
    }

    /// The place of its spec.
    pub fn spec(&self) -> At<'_> {
        At::of(&self.node).get("spec")
    }

    /// What records call it: `deployment:shop/orders`.
    pub fn title(&self) -> String {
        let kind = self.kind.to_ascii_lowercase();
        match self.namespace.as_str() {
            "default" => format!("{kind}:{}", self.name),
            namespace => format!("{kind}:{namespace}/{}", self.name),
        }
    }
}

/// Whether a file looks like manifests: one of its documents has `apiVersion` and `kind`.
pub fn sniff(file: &SourceFile) -> bool {
    let text = &file.text;
    let has = |key: &str| {
        text.match_indices(key).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + key.len()..].trim_start_matches(['"', '\'', ' ']);
            matches!(
                before,
                None | Some('\n' | '"' | '\'' | ' ' | '\t' | '{' | ',')
            ) && after.starts_with(':')
        })
    };
    has("apiVersion") && has("kind") && !text.contains("\nservices:")
}

/// The objects of files, in their order. Those that name no namespace are in `usual`, or else in
/// `default`.
pub fn read(sources: &[Source], usual: Option<&Node>, problems: &mut Problems) -> Vec<Object> {
    let mut objects: Vec<Object> = Vec::new();
    for source in sources {
        let name = source.path.file_name().and_then(|n| n.to_str());
        if matches!(name, Some("kustomization.yaml" | "kustomization.yml")) {
            problems.push(unbuilt(&Span::in_line(&source.file, 1, 1, 1)));
            continue;
        }
        let documents = match parse_all(&source.file) {
            Ok(documents) => documents,
            Err(p) => {
                problems.push(template(&source.file, p));
                continue;
            }
        };
        for mut document in documents {
            booleans(&mut document);
            add(document, usual, &mut objects, problems, 0);
        }
    }
    duplicates(&objects, problems);
    objects
}

/// A kustomization says how to make manifests, but is none.
pub fn unbuilt(span: &Span) -> Problem {
    Problem::at(
        ProblemKind::Unsupported,
        span,
        "this is a kustomization, which has to be built",
    )
    .help("name its directory in `production`: it is built by `kustomize` or `kubectl`, one of which must be installed")
}

/// What cannot be read because it is a template that nobody has rendered.
fn template(file: &SourceFile, problem: Problem) -> Problem {
    let line = problem.span.as_ref().map_or(0, |s| s.line as usize);
    let lines = file.text.lines().enumerate();
    let is_near = |n: usize| line == 0 || n + 1 >= line.saturating_sub(1);
    let first = lines
        .filter(|(_, text)| !text.trim_start().starts_with('#'))
        .find(|(n, text)| text.contains("{{") && is_near(*n));
    match first {
        Some((n, text)) if n <= line || line == 0 => {
            let shown = text.trim().chars().take(60).collect::<String>();
            let mut p = Problem::new(
                ProblemKind::Unsupported,
                format!(
                    "{}:{}: `{shown}` is a template that was not rendered",
                    file.name,
                    n + 1
                ),
            );
            p.span = problem.span;
            p.help(RENDER)
        }
        _ => problem,
    }
}

const RENDER: &str = "render it first: name the directory of the chart or kustomization in `production`, or a file that `helm template` wrote";

/// Plain `yes`, `no`, `on` and `off` are booleans for Kubernetes, which reads YAML 1.1.
fn booleans(node: &mut Node) {
    match &mut node.value {
        Value::Str(text) => {
            let value = match text.as_str() {
                "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => true,
                "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => false,
                _ => return,
            };
            if node.span.text() == text {
                node.value = Value::Bool(value);
            }
        }
        Value::Seq(items) => items.iter_mut().for_each(booleans),
        Value::Map(map) => map.iter_mut().for_each(|(_, n)| booleans(n)),
        _ => {}
    }
}

fn add(
    node: Node,
    usual: Option<&Node>,
    objects: &mut Vec<Object>,
    problems: &mut Problems,
    depth: usize,
) {
    if node.is_null() {
        return;
    }
    // An array of objects is no manifest, but what some tools write.
    if depth == 0
        && let Value::Seq(items) = node.value
    {
        items
            .into_iter()
            .for_each(|n| add(n, usual, objects, problems, depth + 1));
        return;
    }
    let Some(map) = node.as_map() else {
        problems.push(Problem::at(
            ProblemKind::WrongType,
            &node.span,
            format!("expected a Kubernetes object, found {}", node.kind()),
        ));
        return;
    };
    if map.is_empty() {
        return;
    }
    let text = |key: &str| {
        map.get(key)
            .and_then(Node::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (api, kind) = (text("apiVersion"), text("kind"));
    if kind.is_empty() || api.is_empty() {
        let missing = if kind.is_empty() {
            "kind"
        } else {
            "apiVersion"
        };
        problems.push(
            Problem::at(
                ProblemKind::Missing,
                &node.span,
                format!("this Kubernetes object has no `{missing}`"),
            )
            .help("files of other formats are named apart from manifests in `production`"),
        );
        return;
    }
    let is_list = kind == "List" || (kind.ends_with("List") && map.contains_key("items"));
    if is_list && depth < MAX_LISTS {
        let Value::Map(mut map) = node.value else {
            return;
        };
        if let Some(Node {
            value: Value::Seq(items),
            ..
        }) = map.remove("items")
        {
            items
                .into_iter()
                .for_each(|n| add(n, usual, objects, problems, depth + 1));
        }
        return;
    }
    if let Some(object) = object(node, usual, &api, kind, problems) {
        objects.push(object);
    }
}

fn object(
    node: Node,
    usual: Option<&Node>,
    api: &str,
    kind: String,
    problems: &mut Problems,
) -> Option<Object> {
    let group = api
        .split_once('/')
        .map_or("", |(group, _)| group)
        .to_owned();
    let empty = Mapping::default();
    let metadata = node.get("metadata");
    let map = metadata.and_then(Node::as_map).unwrap_or(&empty);
    let name = map.get("name").or_else(|| map.get("generateName"));
    let name = match name.and_then(Node::scalar_text) {
        Some(name) if !name.is_empty() => name,
        _ if group.ends_with("kustomize.config.k8s.io") || kind == "Kustomization" => {
            String::from("kustomization")
        }
        _ => {
            problems.push(Problem::at(
                ProblemKind::Missing,
                &node.span,
                format!("this {kind} has no `metadata.name`"),
            ));
            return None;
        }
    };
    let written = |n: &&Node| n.as_str().is_some_and(|text| !text.is_empty());
    let place = map
        .get("namespace")
        .filter(written)
        .or(usual.filter(written));
    let namespace = place.and_then(Node::as_str).unwrap_or("default");
    let named = (name.as_str(), "name", map.get("name"));
    for (text, what, place) in [named, (namespace, "namespace", place)] {
        let span = place.map_or(&node.span, |n| &n.span);
        if let Some(p) = bad_name(&kind, what, text, span) {
            problems.push(p);
            return None;
        }
    }
    let (name, namespace) = (name.trim_end_matches('-').to_owned(), namespace.to_owned());
    let texts = |key: &str| {
        let texts = map.get(key).and_then(Node::as_map).unwrap_or(&empty);
        texts
            .iter()
            .filter_map(|(k, v)| Some((k.to_owned(), v.scalar_text()?)))
            .collect()
    };
    Some(Object {
        group,
        kind,
        namespace,
        annotations: texts("annotations"),
        name,
        node,
    })
}

/// Names go into names of services, files and volumes.
fn bad_name(kind: &str, what: &str, name: &str, span: &Span) -> Option<Problem> {
    if name.contains("{{") {
        let message = format!("`{name}` is a template that was not rendered");
        return Some(Problem::at(ProblemKind::Unsupported, span, message).help(RENDER));
    }
    // Roles may have colons in their names.
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '_');
    if name.len() <= 253 && name.chars().all(fits) && !name.contains("..") {
        return None;
    }
    Some(
        Problem::at(
            ProblemKind::InvalidValue,
            span,
            format!("`{}` cannot be the {what} of a {kind}", name.escape_debug()),
        )
        .help("names have lowercase letters, digits, `-` and `.`"),
    )
}

fn duplicates(objects: &[Object], problems: &mut Problems) {
    let mut seen: BTreeMap<(&str, &str, &str, &str), &Object> = BTreeMap::new();
    for object in objects {
        let key = (
            object.group.as_str(),
            object.kind.as_str(),
            object.namespace.as_str(),
            object.name.as_str(),
        );
        if object.name == "kustomization" {
            continue;
        }
        if let Some(first) = seen.insert(key, object) {
            problems.push(
                Problem::at(
                    ProblemKind::DuplicateKey,
                    object.span(),
                    format!(
                        "there are two objects {}; the later one is used",
                        object.title()
                    ),
                )
                .related(first.span(), "the other one")
                .warning(),
            );
        }
    }
}
