//! Task definitions of Amazon ECS, and the services that run them.
//!
//! Files are what `aws ecs register-task-definition` and `create-service` take or
//! `describe-task-definition` and `describe-services` print, as JSON or YAML; bare lists of
//! container definitions are taken too. What the agent of ECS makes of a definition is the
//! measure of the translation.

mod compose;
mod container;
mod deployed;
mod env;
mod health;
mod limits;
mod linux;
mod logging;
mod names;
mod network;
mod notes;
mod object;
mod order;
mod peers;
mod placeholder;
mod secrets;
mod shape;
mod supply;
mod task;
mod volumes;

use std::collections::BTreeMap;
use std::path::Path;

use self::compose::Part;
use self::deployed::Deployed;
use self::env::Around;
use self::names::Names;
use self::notes::Notes;
use self::secrets::Secrets;
use self::shape::Piece;
use self::supply::Supply;
use self::task::{Member, Output, Task};
use self::volumes::Volumes;
use super::{Format, Sources, Translation};
use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::source::Span;
use crate::yaml::{Node, Spanned};

/// Task definitions of Amazon ECS.
pub const FORMAT: Format = Format {
    name: "ecs",
    title: "Amazon ECS task definitions",
    sniff: |file| shape::looks_like(&file.text),
    read,
};

/// A task definition and the file that it stands in.
struct Found<'s> {
    node: Node,
    path: &'s Path,
}

fn read(sources: &Sources<'_>) -> Result<Translation, Problems> {
    let mut supply = Supply::of(sources)?;
    let mut notes = Notes::default();
    let mut found = Vec::new();
    let mut services = Vec::new();
    let mut problems = Problems::default();
    for source in &sources.files {
        match shape::read(&source.file, &mut supply) {
            Ok(pieces) => sort(pieces, &source.path, &mut found, &mut services, &mut notes),
            Err(more) => problems.0.extend(more.0),
        }
    }
    let mut translation = Translation::empty();
    let mut secrets = Secrets::default();
    if problems.0.is_empty() {
        let mut around = Around {
            sources,
            supply: &mut supply,
            secrets: &mut secrets,
        };
        tasks(&found, &services, &mut around, &mut translation, &mut notes);
    }
    translation.beyond.asked = secrets.used;
    problems.0.extend(notes.problems);
    if problems.has_errors() {
        return Err(problems);
    }
    translation.records = notes.records;
    translation.warnings = notes.warnings;
    translation.warnings.extend(supply.unused());
    translation.inputs = supply.inputs;
    Ok(translation)
}

fn sort<'s>(
    pieces: Vec<Piece>,
    path: &'s Path,
    found: &mut Vec<Found<'s>>,
    services: &mut Vec<Deployed>,
    notes: &mut Notes,
) {
    for piece in pieces {
        match piece {
            Piece::Task(node) | Piece::Containers(node) => found.push(Found { node, path }),
            Piece::Service(node) => services.extend(deployed::read(&node, notes)),
        }
    }
}

fn tasks(
    found: &[Found<'_>],
    services: &[Deployed],
    around: &mut Around<'_, '_>,
    translation: &mut Translation,
    notes: &mut Notes,
) {
    let mut names = Names::default();
    let mut volumes = Volumes::default();
    for f in found {
        let containers = task::containers(&f.node);
        names.of_task(containers);
        containers.iter().for_each(|c| around.secrets.asked(c));
        volumes.named(&f.node);
    }
    let mut all: Vec<(Task<'_>, Vec<&Deployed>)> = Vec::new();
    for f in found {
        let family = family(f);
        let of: Vec<_> = services
            .iter()
            .filter(|s| s.family.value == family.value)
            .collect();
        if let Some((first, _)) = all.iter().find(|(t, _)| t.family.value == family.value) {
            notes.refuse(twice(&first.family, &family));
            continue;
        }
        if let Some(task) = prepare(f, family, &of, &mut names, notes) {
            all.push((task, of));
        }
    }
    for service in services {
        without_task(service, &all, notes);
    }
    let mut document = Part::default();
    let mut output = Output {
        services: &mut Part::default(),
        volumes: &mut volumes,
        beyond: &mut translation.beyond,
        alone: all.len() == 1,
    };
    for (task, of) in &all {
        task::translate(task, of, around, &mut output, notes);
        task::agent(task, notes);
    }
    document.map("services", std::mem::take(&mut output.services.0));
    document.map("volumes", volumes.declared.0);
    let span = found
        .first()
        .map_or_else(Span::generated, |f| f.node.span.clone());
    translation.document = document.node(&span);
}

/// The family; a definition without one is called by its file.
fn family(found: &Found<'_>) -> Spanned<String> {
    let named = found.node.get("family").filter(|f| f.as_str() != Some(""));
    match named.and_then(|n| Some((n.scalar_text()?, n))) {
        Some((name, node)) => Spanned::new(name, node.span.clone()),
        None => {
            let stem = found
                .path
                .file_stem()
                .map(|s| s.to_string_lossy().into_owned());
            Spanned::new(stem.unwrap_or_default(), found.node.span.clone())
        }
    }
}

fn twice(first: &Spanned<String>, again: &Spanned<String>) -> Problem {
    Problem::at(
        ProblemKind::Conflict,
        &again.span,
        format!(
            "there are two task definitions of the family `{}`",
            again.value
        ),
    )
    .related(&first.span, "the other one is here")
    .help("keep the revision that production runs, or name the families")
}

fn prepare<'f>(
    found: &'f Found<'_>,
    family: Spanned<String>,
    deployed: &[&Deployed],
    names: &mut Names,
    notes: &mut Notes,
) -> Option<Task<'f>> {
    let node = &found.node;
    notes.object = format!("task:{}", family.value);
    let (mode, fargate) = task::placed(node, deployed, notes);
    let containers = task::containers(node);
    if containers.is_empty() {
        notes.refuse(Problem::at(
            ProblemKind::Missing,
            &node.span,
            format!("the task definition `{}` has no containers", family.value),
        ));
        return None;
    }
    let mut members: Vec<Member<'_>> = Vec::new();
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for container in containers {
        let Some(name) = container.get("name").and_then(Node::as_str) else {
            notes.refuse(Problem::at(
                ProblemKind::Missing,
                &container.span,
                "a container definition has a `name`",
            ));
            continue;
        };
        let span = container.get("name").map_or(&container.span, |n| &n.span);
        if let Some(first) = seen.insert(name, span.clone()) {
            notes.refuse(
                Problem::at(
                    ProblemKind::DuplicateKey,
                    span,
                    format!("the task has two containers `{name}`"),
                )
                .related(&first, "the other one is here"),
            );
            continue;
        }
        members.push(Member {
            node: container,
            name: Spanned::new(name.to_owned(), span.clone()),
            key: names.service(&family, name),
        });
    }
    let holds = task::needs_holder(node, mode, members.len());
    let limits = match object::Object::of(node, "", &mut Notes::default()) {
        Some(mut object) => limits::TaskLimits::of(&mut object, notes),
        None => limits::TaskLimits::default(),
    };
    let bare = node.get("containerDefinitions").is_none();
    Some(Task {
        node,
        dir: found.path.parent().unwrap_or(found.path),
        mode,
        fargate,
        is_service: !deployed.is_empty(),
        limits: if bare {
            limits::TaskLimits::default()
        } else {
            limits
        },
        members,
        holder: holds.then(|| names.holder(&family)),
        family,
    })
}

fn without_task(service: &Deployed, tasks: &[(Task<'_>, Vec<&Deployed>)], notes: &mut Notes) {
    let families = tasks.iter().map(|(t, _)| t.family.value.as_str());
    if families.clone().any(|f| f == service.family.value) {
        return;
    }
    let help = match nearest(&service.family, families) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "add the file of the task definition to `production`".to_owned(),
    };
    notes.refuse(
        Problem::at(
            ProblemKind::UnknownReference,
            &service.family.span,
            format!(
                "the service `{}` runs the task definition `{}`, which is in none of the files",
                service.name.value, service.family.value
            ),
        )
        .help(help),
    );
}
