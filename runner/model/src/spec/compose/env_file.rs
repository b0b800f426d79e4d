//! The environment and the labels of services: their `env_file`s and `label_file`s.

use std::collections::BTreeMap;

use super::dotenv::{self, Around, Vars};
use super::files::PathKind;
use super::normalise::note_source;
use super::request::{Environment, Setting, ValueSource};
use super::session::{Notes, Session};
use crate::diag::{Problem, ProblemKind};
use crate::source::Span;
use crate::yaml::{Mapping, Node, Value, ViaKind};

/// Puts the variables of `env_file`s into the environment of every service, and the labels
/// of `label_file`s into its labels; then takes both keys out.
pub(super) fn resolve(
    session: &mut Session<'_>,
    root: &mut Node,
    env: &Environment,
) -> Result<(), Problem> {
    let services = root.as_map_mut().and_then(|m| m.get_mut("services"));
    for (_, service) in services
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Mapping::iter_mut)
    {
        let span = service.span.clone();
        if let Some(map) = service.as_map_mut() {
            environment(session, map, env, &span)?;
            labels(session, map, &span)?;
        }
    }
    Ok(())
}

fn environment(
    session: &mut Session<'_>,
    service: &mut Mapping,
    env: &Environment,
    span: &Span,
) -> Result<(), Problem> {
    let mut own = take_map(service, "environment");
    for (name, node) in own.iter_mut() {
        if let (true, Some(setting)) = (node.is_null(), env.get(name)) {
            node.value = Value::Str(setting.text.clone());
            note_source(node, name, &setting.source);
        }
    }
    let files = service.remove("env_file");
    let items = files.as_ref().and_then(Node::as_seq).unwrap_or(&[]);
    let mut vars: Vars = own
        .iter()
        .filter_map(|(name, node)| Some((name.to_owned(), setting_of(node)?)))
        .collect();
    let from_environment = vars.clone();
    for item in items {
        let path = item.get("path").and_then(Node::as_str).unwrap_or("");
        let required = item.get("required").and_then(Node::as_bool) != Some(false);
        if !required && session.store.kind(path).is_none() {
            continue;
        }
        let file = session.store.text(path, Some(&item.span))?;
        session.notes.value_file(path, &item.span);
        let mut around = ServiceAround {
            project: env,
            service: &from_environment,
            notes: &mut session.notes,
        };
        match item.get("format").and_then(Node::as_str).unwrap_or("") {
            "" | ".env" => dotenv::read(&file, &mut vars, &mut around)?,
            "raw" => dotenv::read_raw(&file, &mut vars, &around)?,
            other => {
                return Err(Problem::at(
                    ProblemKind::InvalidValue,
                    &item.span,
                    format!("`{other}` is not a format of env files"),
                )
                .help("leave it out, or write `format: raw`"));
            }
        }
    }
    let mut all = Mapping::default();
    for (name, setting) in vars {
        if own.contains_key(&name) || name.is_empty() {
            continue;
        }
        all.insert(name, from_file(setting, span));
    }
    all.0.extend(own.0);
    put_map(service, "environment", all, span);
    Ok(())
}

fn setting_of(node: &Node) -> Option<Setting> {
    let text = node.as_str()?.to_owned();
    let source = ValueSource::File {
        name: node.span.file.name.clone(),
        span: node.span.clone(),
    };
    Some(Setting { text, source })
}

fn from_file(setting: Setting, service: &Span) -> Node {
    let span = match setting.source {
        ValueSource::File { span, .. } => span,
        _ => service.clone(),
    };
    Node::str(setting.text, span.clone()).via(ViaKind::EnvFile, span)
}

fn take_map(service: &mut Mapping, key: &str) -> Mapping {
    let value = service.get_mut(key).map(|node| {
        let null = Value::Null;
        std::mem::replace(&mut node.value, null)
    });
    match value {
        Some(Value::Map(map)) => map,
        _ => Mapping::default(),
    }
}

/// Puts a mapping back in its old place, or at the end; an empty one is left out.
fn put_map(service: &mut Mapping, key: &str, map: Mapping, span: &Span) {
    if map.is_empty() {
        service.remove(key);
    } else if let Some(node) = service.get_mut(key) {
        node.value = Value::Map(map);
    } else {
        service.insert(key, Node::new(Value::Map(map), span.clone()));
    }
}

fn labels(session: &mut Session<'_>, service: &mut Mapping, span: &Span) -> Result<(), Problem> {
    let Some(files) = service.remove("label_file") else {
        return Ok(());
    };
    let mut vars = Vars::new();
    for item in files.as_seq().unwrap_or(&[]) {
        let path = item.as_str().unwrap_or("");
        if session.store.kind(path) != Some(PathKind::File) {
            let name = session.store.shown(path);
            return Err(Problem::at(
                ProblemKind::MissingFile,
                &item.span,
                format!("the label file {name} is not there"),
            ));
        }
        let file = session.store.text(path, Some(&item.span))?;
        session.notes.value_file(path, &item.span);
        let earlier = vars.clone();
        let mut around = ServiceAround {
            project: &Environment::default(),
            service: &earlier,
            notes: &mut session.notes,
        };
        dotenv::read(&file, &mut vars, &mut around)?;
    }
    let own = take_map(service, "labels");
    let mut all = Mapping::default();
    for (name, setting) in vars {
        if !own.contains_key(&name) && !name.is_empty() {
            all.insert(name, from_file(setting, span));
        }
    }
    all.0.extend(own.0);
    put_map(service, "labels", all, span);
    Ok(())
}

/// The project's variables win, then the service's own.
struct ServiceAround<'a> {
    project: &'a Environment,
    service: &'a BTreeMap<String, Setting>,
    notes: &'a mut Notes,
}

impl Around for ServiceAround<'_> {
    fn value(&self, name: &str) -> Option<Setting> {
        let project = self.project.get(name);
        project.or_else(|| self.service.get(name)).cloned()
    }

    fn unset(&mut self, name: &str, at: &Span) {
        self.notes.used(name, at, ValueSource::Unset);
    }
}
