//! Files into one document, phase by phase, in Compose's order.

use super::canonical;
use super::defaults;
use super::extends;
use super::include;
use super::interpolate;
use super::merge;
use super::paths::Base;
use super::request::Environment;
use super::reset::{self, Resets};
use super::schema;
use super::session::{Context, Session};
use super::unique;
use crate::diag::{Problem, ProblemKind};
use crate::source::Span;
use crate::spec::swarm;
use crate::yaml::{Mapping, Node, Value};

/// What a file is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// As a part of a project.
    Whole,
    /// For services that others extend: nothing else of it is looked at.
    Extended,
}

/// Reads files over each other into one canonical document with absolute paths.
pub(super) fn load_files(
    session: &mut Session<'_>,
    context: &Context,
    files: &[(String, Span)],
) -> Result<Node, Problem> {
    let mut document = Node::map(Span::generated());
    for file in files {
        document = load_file(session, context, file, document, Mode::Whole)?.0;
    }
    if !session.stacks.services.is_empty() {
        swarm::finish(&mut document, &session.stack_name, &mut session.stacks);
    }
    defaults::fill(&mut document);
    defaults::check(&document)?;
    Base {
        dir: &context.dir,
        home: session.home.as_deref(),
        store: &session.store,
    }
    .resolve(&mut document)?;
    take_named_variables(&mut document, &context.env);
    Ok(document)
}

/// Reads one file over what was loaded before.
pub(super) fn load_file(
    session: &mut Session<'_>,
    context: &Context,
    file: &(String, Span),
    before: Node,
    mode: Mode,
) -> Result<(Node, Resets), Problem> {
    let (path, named_at) = file;
    if let Some(document) = session.translated.get(path).cloned() {
        let loaded = over(session, before, document, Mode::Whole)?;
        return Ok((loaded, Resets::default()));
    }
    let mut included = context.included.clone();
    let mut loaded = before;
    let mut last_resets = Resets::default();
    let documents = session.store.documents(path, Some(named_at))?;
    for document in documents.iter() {
        let mut document = document.clone();
        let resets = reset::collect(&mut document);
        reset::require_text_keys(&document)?;
        if document.as_map().is_none() {
            return Err(Problem::at(
                ProblemKind::WrongType,
                &document.span,
                format!("a Compose file must be a mapping, not {}", document.kind()),
            ));
        }
        interpolate::interpolate(&mut document, &context.env, &mut session.notes)?;
        if session.stack_files.contains(path) {
            stack_file(session, &mut document)?;
        }
        if mode == Mode::Whole {
            extends::apply(session, context, &mut document, &resets, path)?;
        }
        resets.apply(&mut loaded);
        if mode == Mode::Whole {
            included.push((path.clone(), named_at.clone()));
            include::apply(session, context, &mut document, &included)?;
        }
        loaded = over(session, loaded, document, mode)?;
        last_resets = resets;
    }
    Ok((loaded, last_resets))
}

/// A document of a stack file, by the rules of Swarm.
fn stack_file(session: &mut Session<'_>, document: &mut Node) -> Result<(), Problem> {
    swarm::check(document, &mut session.stacks);
    let mut problems = std::mem::take(&mut session.stacks.problems).into_iter();
    match problems.next() {
        Some(first) => {
            session.also.extend(problems);
            Err(first)
        }
        None => Ok(()),
    }
}

/// One document over what was loaded before, in the canonical form.
fn over(
    session: &mut Session<'_>,
    before: Node,
    document: Node,
    mode: Mode,
) -> Result<Node, Problem> {
    let span = document.span.clone();
    let mut loaded = merge::documents(before, document)?;
    if !loaded.span.is_real() {
        loaded.span = span;
    }
    unique::enforce(&mut loaded)?;
    if mode == Mode::Whole {
        check(session, &mut loaded)?;
    }
    canonical::canonical(&mut loaded, &mut session.notes)?;
    unique::enforce(&mut loaded)?;
    Ok(loaded)
}

fn check(session: &mut Session<'_>, document: &mut Node) -> Result<(), Problem> {
    let mut problems = schema::check(document).0.into_iter();
    if let Some(first) = problems.next() {
        session.also.extend(problems);
        return Err(first);
    }
    let version = document.as_map_mut().and_then(|m| m.remove("version"));
    if let Some(version) = version {
        session.notes.warn(
            Problem::at(
                ProblemKind::Deprecated,
                &version.span,
                "`version` has no effect any more",
            )
            .help("remove it"),
        );
    }
    Ok(())
}

/// Names without a value in a list of variables take the value of the file's own
/// environment: an included file has its own.
fn take_named_variables(document: &mut Node, env: &Environment) {
    let services = document.as_map_mut().and_then(|m| m.get_mut("services"));
    for (_, service) in services
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Mapping::iter_mut)
    {
        let list = service.as_map_mut().and_then(|m| m.get_mut("environment"));
        for item in list.and_then(Node::as_seq_mut).into_iter().flatten() {
            let Some((name, setting)) = item
                .as_str()
                .and_then(|n| Some((n.to_owned(), env.get(n)?)))
            else {
                continue;
            };
            item.value = Value::Str(format!("{name}={}", setting.text));
            super::normalise::note_source(item, &name, &setting.source);
        }
    }
}
