//! The Compose Specification as Docker Compose v2 reads it, phase by phase in its order.
//!
//! For each file: YAML, tags, variables, `extends`, `include`, merging, the table of keys,
//! long forms. For all files together: paths, what goes without saying, the normal form,
//! profiles, whether it fits together, env files.

mod canonical;
mod consistency;
mod defaults;
mod document;
mod dotenv;
mod env_file;
mod environment;
mod extends;
mod files;
mod form;
mod include;
mod interpolate;
mod lexical;
mod merge;
mod normalise;
mod paths;
mod port;
mod request;
mod reset;
mod rules;
mod schema;
mod select;
mod session;
mod template;
#[cfg(test)]
mod tests;
mod unique;
mod values;
mod volume;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub use request::{
    Environment, Input, LoadRequest, Loaded, Setting, TextRequest, ValueSource, Variable,
    VariableUse,
};

use crate::diag::{Problem, ProblemKind, Problems};
use crate::source::Span;
use crate::spec::swarm::Stacks;
use crate::yaml::Node;
use environment::Project;
use files::{Disk, FileAccess, Given, Store};
use request::ValueSource as Source;
use session::{Context, Notes, Session};

/// Reads Compose files into their normal form.
///
/// # Errors
/// Everything that refuses the files, each with its place; then the warnings up to there.
pub fn load(request: &LoadRequest) -> Result<Loaded, Problems> {
    run(request, &Disk, None)
}

/// Reads a Compose text that is already in memory, by the same phases; no file is read but
/// those that are given with it.
///
/// # Errors
/// Everything that refuses the text, each with its place; then the warnings up to there.
pub fn load_text(request: &TextRequest) -> Result<Loaded, Problems> {
    let name = if request.name.is_empty() {
        "compose.yaml"
    } else {
        &request.name
    };
    let asked = LoadRequest {
        working_dir: request.dir.clone(),
        project_dir: Some(request.dir.clone()),
        files: vec![request.dir.join(name)],
        env_files: Vec::new(),
        shell: request.shell.clone(),
        profiles: request.profiles.clone(),
        services: request.services.clone(),
        project_name: request.project_name.clone(),
        translated: BTreeMap::new(),
        stacks: BTreeSet::new(),
        stack_name: String::new(),
    };
    run(&asked, &Given(&request.files), Some((name, &request.text)))
}

/// Doubles each `$` of a text, so that it stands for itself in a Compose file.
pub fn escape(text: &str) -> String {
    template::escape(text)
}

fn run(
    request: &LoadRequest,
    access: &dyn FileAccess,
    text: Option<(&str, &str)>,
) -> Result<Loaded, Problems> {
    let shown_from = request.working_dir.to_string_lossy();
    let mut session = Session {
        store: Store::new(access, shown_from.trim_end_matches('/')),
        home: request.shell.get("HOME").cloned(),
        notes: Notes::default(),
        extended: HashMap::new(),
        also: Vec::new(),
        translated: translated(request),
        stack_files: stack_files(request),
        stack_name: request.stack_name.clone(),
        stacks: Stacks::default(),
    };
    if let (Some((name, text)), Some(path)) = (text, request.files.first()) {
        let dir = request.working_dir.to_string_lossy();
        let path = lexical::absolute(&dir, &path.to_string_lossy());
        session.store.insert(&path, name, text);
    }
    match read(&mut session, request) {
        Ok((root, extensions, environment)) => Ok(Loaded {
            root,
            extensions,
            inputs: session.store.inputs,
            variables: session.notes.variables,
            environment,
            value_files: session.notes.value_files,
            warnings: session.notes.warnings,
            records: session.stacks.records,
        }),
        Err(mut problems) => {
            problems.0.append(&mut session.also);
            problems.0.append(&mut session.notes.warnings);
            Err(problems)
        }
    }
}

/// What stands in the place of files of other formats, by absolute path.
fn translated(request: &LoadRequest) -> HashMap<String, Node> {
    let dir = request.working_dir.to_string_lossy();
    let entries = request.translated.iter();
    entries
        .map(|(path, node)| {
            let path = lexical::absolute(&dir, &path.to_string_lossy());
            (path, node.clone())
        })
        .collect()
}

/// The files that are stack files, by absolute path.
fn stack_files(request: &LoadRequest) -> BTreeSet<String> {
    let dir = request.working_dir.to_string_lossy();
    let files = request.stacks.iter();
    files
        .map(|path| lexical::absolute(&dir, &path.to_string_lossy()))
        .collect()
}

fn read(
    session: &mut Session<'_>,
    request: &LoadRequest,
) -> Result<(Node, Node, Environment), Problems> {
    let mut project = environment::discover(session, request)?;
    let asked = request.project_name.as_deref();
    let name = environment::project_name(session, asked, &project)?;
    project
        .env
        .set("COMPOSE_PROJECT_NAME", name.clone(), Source::Reader);
    let Project {
        files,
        dir,
        env,
        profiles,
    } = project;
    let context = Context {
        dir,
        env: Arc::new(env),
        included: Vec::new(),
    };
    let shown: Vec<String> = files.iter().map(|f| session.store.shown(f)).collect();
    let files: Vec<_> = files.into_iter().map(|f| (f, Span::generated())).collect();
    let mut document = document::load_files(session, &context, &files)?;
    if document.as_map().is_none_or(|m| m.is_empty()) {
        return Err(Problem::new(
            ProblemKind::Missing,
            format!("nothing stands in {}", shown.join(", ")),
        )
        .help("declare what runs in production under `services:`")
        .into());
    }
    normalise::normalise(&mut document, &name, &context.env);
    if let Some(map) = document.as_map_mut() {
        let span = map
            .0
            .get("name")
            .map_or_else(Span::generated, |e| e.node.span.clone());
        map.insert("name", Node::str(name, span));
    }
    let models = document.get("models").and_then(Node::as_map).cloned();
    let (mut root, extensions) = form::normal_form(document, &mut session.notes)?;
    let mut disabled = select::by_profile(&mut root, &profiles);
    let problems = consistency::check(&mut root, &disabled, &models.unwrap_or_default());
    if problems.has_errors() {
        return Err(problems);
    }
    select::enable(&mut root, &mut disabled, &request.services, &profiles);
    env_file::resolve(session, &mut root, &context.env)?;
    select::only(&mut root, &request.services)?;
    select::drop_unused(&mut root);
    if let Some(problem) = consistency::container_names(&root) {
        return Err(problem.into());
    }
    let environment = (*context.env).clone();
    Ok((root, extensions, environment))
}
