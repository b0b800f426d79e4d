//! `include`: whole projects brought into a file.

use std::sync::Arc;

use super::document;
use super::files::{PathKind, is_remote, remote_refused};
use super::lexical;
use super::session::{Context, Session};
use crate::diag::{Problem, ProblemKind, nearest};
use crate::source::Span;
use crate::yaml::{Mapping, Node, Value, ViaKind};

/// How deep includes may nest.
const MAX_DEPTH: usize = 50;

/// One entry of the list.
struct Include {
    paths: Vec<(String, Span)>,
    project_directory: Option<String>,
    env_files: Vec<(String, Span)>,
    span: Span,
}

/// Reads what a file includes, and puts its services and resources beside the file's own.
pub(super) fn apply(
    session: &mut Session<'_>,
    context: &Context,
    file: &mut Node,
    included: &[(String, Span)],
) -> Result<(), Problem> {
    let list = file.as_map_mut().and_then(|m| m.remove("include"));
    let Some(list) = list.filter(|n| !n.is_null()) else {
        return Ok(());
    };
    let Value::Seq(items) = &list.value else {
        return Err(wrong(&list, "`include` must be a list"));
    };
    for item in items {
        let include = Include::read(item)?;
        let imported = load(session, context, &include, included)?;
        import(file, imported, &include.span)?;
    }
    Ok(())
}

fn wrong(node: &Node, what: &str) -> Problem {
    Problem::at(
        ProblemKind::WrongType,
        &node.span,
        format!("{what}, not {}", node.kind()),
    )
}

fn paths(node: Option<&Node>) -> Result<Vec<(String, Span)>, Problem> {
    let Some(node) = node else {
        return Ok(Vec::new());
    };
    let items = node.as_seq().unwrap_or(std::slice::from_ref(node));
    let path = |item: &Node| match item.as_str() {
        Some(text) => Ok((text.to_owned(), item.span.clone())),
        None => Err(wrong(item, "a path must be a text")),
    };
    items.iter().map(path).collect()
}

impl Include {
    fn read(item: &Node) -> Result<Self, Problem> {
        let include = match &item.value {
            Value::Str(_) => Self {
                paths: paths(Some(item))?,
                project_directory: None,
                env_files: Vec::new(),
                span: item.span.clone(),
            },
            Value::Map(map) => {
                known_keys(map)?;
                let directory = map.get("project_directory");
                Self {
                    paths: paths(map.get("path"))?,
                    project_directory: match directory.filter(|d| !d.is_null()) {
                        Some(node) => Some(
                            node.as_str()
                                .ok_or_else(|| wrong(node, "`project_directory` must be a path"))?
                                .to_owned(),
                        ),
                        None => None,
                    }
                    .filter(|d| !d.is_empty()),
                    env_files: paths(map.get("env_file"))?,
                    span: item.span.clone(),
                }
            }
            _ => return Err(wrong(item, "an include must be a path or a mapping")),
        };
        if include.paths.is_empty() {
            return Err(Problem::at(
                ProblemKind::Missing,
                &item.span,
                "this include has no path",
            ));
        }
        Ok(include)
    }
}

const KEYS: [&str; 3] = ["path", "project_directory", "env_file"];

fn known_keys(map: &Mapping) -> Result<(), Problem> {
    let Some((key, entry)) = map.0.iter().find(|(key, _)| !KEYS.contains(&key.as_str())) else {
        return Ok(());
    };
    let problem = Problem::at(
        ProblemKind::UnknownKey,
        &entry.key,
        format!("unknown key `{key}` in an include"),
    );
    Err(match nearest(key, KEYS) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("an include has: {}", KEYS.join(", "))),
    })
}

fn load(
    session: &mut Session<'_>,
    context: &Context,
    include: &Include,
    included: &[(String, Span)],
) -> Result<Node, Problem> {
    if let Some((path, span)) = include.paths.iter().find(|(path, _)| is_remote(path)) {
        return Err(remote_refused(path, span));
    }
    let files: Vec<(String, Span)> = include
        .paths
        .iter()
        .map(|(path, span)| (lexical::absolute(&context.dir, path), span.clone()))
        .collect();
    check_cycle(session, &files[0], included)?;
    // Relative paths of the included files start at `dir`, its `.env` is in `home`: they
    // differ only when the given directory is not there.
    let home = match &include.project_directory {
        Some(dir) => lexical::absolute(&context.dir, dir),
        None => lexical::directory(&files[0].0),
    };
    let dir = if session.store.kind(&home) == Some(PathKind::Directory) {
        home.clone()
    } else {
        lexical::directory(&home)
    };
    let mut env_files: Vec<(String, Option<Span>)> = include
        .env_files
        .iter()
        .map(|(path, span)| (lexical::absolute(&context.dir, path), Some(span.clone())))
        .collect();
    let default = lexical::join(&home, ".env");
    if env_files.is_empty() && session.store.kind(&default) == Some(PathKind::File) {
        env_files.push((default, None));
    }
    let own = session.read_env_files(&env_files, &context.env)?;
    let mut env = (*context.env).clone();
    env.fill(own);
    let inner = Context {
        dir,
        env: Arc::new(env),
        included: included.to_vec(),
    };
    let mut imported = document::load_files(session, &inner, &files)?;
    imported.add_via_leaves(&ViaKind::Include, &include.span);
    Ok(imported)
}

fn check_cycle(
    session: &Session<'_>,
    file: &(String, Span),
    included: &[(String, Span)],
) -> Result<(), Problem> {
    if let Some(from) = included.iter().position(|(path, _)| *path == file.0) {
        let way = included[from..]
            .iter()
            .map(|(path, _)| path)
            .chain([&file.0]);
        let way: Vec<String> = way.map(|path| session.store.shown(path)).collect();
        return Err(Problem::at(
            ProblemKind::Cycle,
            &file.1,
            format!("files include each other in a circle: {}", way.join(" -> ")),
        )
        .help("remove one of these `include`"));
    }
    if included.len() > MAX_DEPTH {
        return Err(Problem::at(
            ProblemKind::TooLarge,
            &file.1,
            format!("includes are nested deeper than {MAX_DEPTH}"),
        ));
    }
    Ok(())
}

fn import(file: &mut Node, imported: Node, span: &Span) -> Result<(), Problem> {
    let (Some(map), Value::Map(mut from)) = (file.as_map_mut(), imported.value) else {
        return Ok(());
    };
    for kind in [
        "services", "volumes", "networks", "secrets", "configs", "models",
    ] {
        let Some(Value::Map(resources)) = from.remove(kind).map(|n| n.value) else {
            continue;
        };
        if map.get(kind).is_none_or(Node::is_null) {
            map.insert(kind, Node::map(span.clone()));
        }
        let Some(node) = map.get_mut(kind) else {
            continue;
        };
        let kind_of_node = node.kind();
        let Some(own) = node.as_map_mut() else {
            return Err(Problem::at(
                ProblemKind::WrongType,
                &node.span,
                format!("`{kind}` must be a mapping, not {kind_of_node}"),
            ));
        };
        for (name, entry) in resources.0 {
            match own.0.get(&name) {
                Some(mine) if !mine.node.same_value(&entry.node) => {
                    return Err(Problem::at(
                        ProblemKind::Conflict,
                        &mine.key,
                        format!("`{kind}.{name}` is also in an included file, and differs"),
                    )
                    .related(&entry.key, "the included one")
                    .help(
                        "change included services in a further file, which is read over this one",
                    ));
                }
                Some(_) => {}
                None => {
                    own.0.insert(name, entry);
                }
            }
        }
    }
    Ok(())
}
