//! Which of the many shapes of ECS files a file has.

use std::sync::Arc;

use super::supply::Supply;
use crate::diag::{Problem, ProblemKind, Problems};
use crate::source::{SourceFile, Span};
use crate::yaml::{self, Node, ViaKind, json};

/// A part of a file that stands for itself.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    /// A task definition.
    Task(Node),
    /// Container definitions without a task definition around them.
    Containers(Node),
    /// A service.
    Service(Node),
}

/// Whether a text looks like ECS's. Keys decide, so that a template that is not valid JSON is
/// recognised too.
pub(super) fn looks_like(text: &str) -> bool {
    let has = |key: &str| has_key(text, key);
    if has("containerDefinitions") || text.contains("AWS::ECS::TaskDefinition") {
        return true;
    }
    if has("apiVersion") {
        return false;
    }
    if has("serviceName") && (has("taskDefinition") || has("desiredCount")) {
        return true;
    }
    let starts = text.trim_start();
    let is_json = starts.starts_with('{') || starts.starts_with('[');
    let of_others = has("services") || has("docker") || has("HostConfig");
    let of_ecs = ["essential", "portMappings", "logConfiguration"];
    is_json && !of_others && has("image") && of_ecs.iter().any(|key| has(key))
}

/// Whether a text has a key, as JSON or as YAML.
fn has_key(text: &str, key: &str) -> bool {
    text.match_indices(key).any(|(at, _)| {
        let after = text[at + key.len()..].trim_start_matches(['"', '\'']);
        let before = text[..at].trim_end_matches(['"', '\'']);
        let starts = before.is_empty() || before.ends_with(['\n', ' ', '\t', '{', ',', '-']);
        starts && after.trim_start().starts_with(':')
    })
}

/// Reads a file into its pieces.
///
/// # Errors
/// What is not valid JSON or YAML, placeholders without a value, and files of other kinds.
pub(super) fn read(file: &Arc<SourceFile>, supply: &mut Supply) -> Result<Vec<Piece>, Problems> {
    let starts = file.text.trim_start();
    let mut documents = if starts.starts_with('{') || starts.starts_with('[') {
        let mut placeholder = |text: &str, span: &Span| match supply.placeholder(text) {
            Some(given) => {
                let mut node = Node::new(given.value, span.clone());
                node.add_via(ViaKind::Supply, given.span);
                Ok(node)
            }
            None => Err(without_value(text, span)),
        };
        vec![json::parse_template(file, &mut placeholder)?]
    } else {
        yaml::parse_all(file)?
    };
    let mut pieces = Vec::new();
    let mut problems = Problems::default();
    for document in &mut documents {
        supply.fill(document);
        if !document.is_null() {
            sort(document, &mut pieces, &mut problems, 0);
        }
    }
    if pieces.is_empty() && problems.0.is_empty() {
        problems.push(Problem::at(
            ProblemKind::Missing,
            &Span::in_line(file, 1, 1, 0),
            format!("{} holds no task definition", file.name),
        ));
    }
    if problems.has_errors() {
        Err(problems)
    } else {
        Ok(pieces)
    }
}

/// A file that is a template is not guessed at.
fn without_value(text: &str, span: &Span) -> Problem {
    let key = serde_json::Value::from(text).to_string();
    Problem::at(
        ProblemKind::Syntax,
        span,
        format!("`{text}` stands where JSON has a value: the file is a template that was not filled in"),
    )
    .help(format!(
        "fill the template in before, or give the value in mirror.yaml:\nsupply:\n  ecs:\n    placeholders:\n      {key}: VALUE"
    ))
}

/// Sorts a value into pieces.
fn sort(node: &Node, pieces: &mut Vec<Piece>, problems: &mut Problems, depth: usize) {
    let is = |key: &str| node.get(key).is_some_and(|n| !n.is_null());
    let map = |key: &str| node.get(key).filter(|n| n.as_map().is_some());
    let list = |key: &str| node.get(key).and_then(Node::as_seq);
    if let Some(items) = node.as_seq() {
        let containers = items.iter().all(is_container);
        if containers && !items.is_empty() {
            pieces.push(Piece::Containers(node.clone()));
        } else if depth == 0 {
            items
                .iter()
                .for_each(|item| sort(item, pieces, problems, depth + 1));
        } else {
            problems.push(neither(node));
        }
    } else if is("AWSTemplateFormatVersion") || is("Resources") {
        problems.push(cloud_formation(node));
    } else if is("containerDefinitions") {
        pieces.push(Piece::Task(node.clone()));
    } else if let Some(task) = map("taskDefinition") {
        pieces.push(Piece::Task(task.clone()));
    } else if let Some(service) = map("service") {
        pieces.push(Piece::Service(service.clone()));
    } else if let Some(services) = list("services") {
        let services = services.iter().cloned().map(Piece::Service);
        pieces.extend(services);
    } else if is("serviceName") {
        pieces.push(Piece::Service(node.clone()));
    } else if is_container(node) {
        pieces.push(Piece::Containers(node.clone()));
    } else {
        problems.push(neither(node));
    }
}

fn is_container(node: &Node) -> bool {
    let is = |key: &str| node.get(key).is_some();
    is("name") && is("image") && !is("containerDefinitions")
}

fn neither(node: &Node) -> Problem {
    Problem::at(
        ProblemKind::WrongType,
        &node.span,
        "this is neither a task definition nor a service of ECS",
    )
    .help("a task definition is what `aws ecs describe-task-definition` prints and `register-task-definition` takes")
}

fn cloud_formation(node: &Node) -> Problem {
    Problem::at(
        ProblemKind::Unsupported,
        &node.span,
        "this is a template of CloudFormation, in which values are computed when it is deployed",
    )
    .help("give what was deployed: `aws ecs describe-task-definition --task-definition FAMILY`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_recognised_by_their_keys() {
        for (text, expected) in [
            ("{\"containerDefinitions\": [", true),
            ("family: web\ncontainerDefinitions:\n", true),
            ("{\"taskDefinition\": {\"containerDefinitions\": []}}", true),
            (
                "[{\"name\": \"a\", \"image\": $IMAGE, \"essential\": true}]",
                true,
            ),
            ("{\"serviceName\": \"a\", \"desiredCount\": 2}", true),
            ("{\"services\": {\"web\": {\"image\": \"x\"}}}", false),
            ("services:\n  web:\n    image: x\n", false),
            (
                "apiVersion: apps/v1\nspec:\n  serviceName: x\n  desiredCount: 1\n",
                false,
            ),
            (
                "[{\"Id\": \"x\", \"Image\": \"y\", \"HostConfig\": {}}]",
                false,
            ),
            ("# containerDefinitions\nservices: {}\n", false),
        ] {
            assert_eq!(looks_like(text), expected, "{text}");
        }
    }
}
