//! Before the first file: the project's variables, its files, its directory and its name.

use std::sync::Arc;

use super::files::{PathKind, first_existing, is_remote, remote_refused};
use super::lexical;
use super::request::{Environment, LoadRequest, ValueSource};
use super::session::Session;
use super::template::{Outcome, Scope, substitute};
use crate::diag::{Problem, ProblemKind};
use crate::source::Span;
use crate::yaml::Node;

const DEFAULT_NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];
const DEFAULT_OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What is known before the first file is read.
pub(super) struct Project {
    /// Absolute paths of the Compose files.
    pub files: Vec<String>,
    /// Where relative paths start; absolute.
    pub dir: String,
    /// The variables.
    pub env: Environment,
    /// Active profiles.
    pub profiles: Vec<String>,
}

/// Collects the project's variables and finds its files.
pub(super) fn discover(session: &mut Session<'_>, req: &LoadRequest) -> Result<Project, Problem> {
    let cwd = req.working_dir.to_string_lossy().into_owned();
    if !lexical::is_absolute(&cwd) {
        return Err(Problem::new(
            ProblemKind::InvalidValue,
            format!("the working directory `{cwd}` is not an absolute path"),
        ));
    }
    let mut env = Environment::default();
    for (name, value) in &req.shell {
        env.set(name.clone(), value.clone(), ValueSource::Shell);
    }
    if env.get("PWD").is_none() {
        env.set("PWD", cwd.clone(), ValueSource::Reader);
    }
    let mut files: Vec<String> = Vec::new();
    for file in &req.files {
        let name = file.to_string_lossy();
        if is_remote(&name) || name == "-" {
            return Err(remote_refused(&name, &Span::generated()));
        }
        files.push(lexical::absolute(&cwd, &name));
    }
    let asked_dir = req
        .project_dir
        .as_ref()
        .map(|dir| lexical::absolute(&cwd, &dir.to_string_lossy()));
    let dir_of = |files: &[String]| match (&asked_dir, files.first()) {
        (Some(dir), _) => dir.clone(),
        (None, Some(file)) => lexical::directory(file),
        (None, None) => cwd.clone(),
    };
    read_variables(session, req, &cwd, &dir_of(&files), &mut env)?;
    if files.is_empty() {
        files = find_files(session, &env, &cwd, &dir_of(&files))?;
        read_variables(session, req, &cwd, &dir_of(&files), &mut env)?;
    }
    let dir = dir_of(&files);
    let profiles = if req.profiles.is_empty() {
        let listed = env.get("COMPOSE_PROFILES").map_or("", |s| s.text.as_str());
        listed.split(',').map(|p| p.trim().to_owned()).collect()
    } else {
        req.profiles.clone()
    };
    Ok(Project {
        files,
        dir,
        env,
        profiles,
    })
}

fn read_variables(
    session: &mut Session<'_>,
    req: &LoadRequest,
    cwd: &str,
    dir: &str,
    env: &mut Environment,
) -> Result<(), Problem> {
    let mut paths: Vec<String> = req
        .env_files
        .iter()
        .map(|p| lexical::absolute(cwd, &p.to_string_lossy()))
        .collect();
    if paths.is_empty()
        && let Some(listed) = req.shell.get("COMPOSE_ENV_FILES").filter(|s| !s.is_empty())
    {
        paths = listed
            .split(',')
            .map(|p| lexical::absolute(cwd, p))
            .collect();
    }
    let disabled = req
        .shell
        .get("COMPOSE_DISABLE_ENV_FILE")
        .is_some_and(|v| matches!(v.as_str(), "1" | "t" | "T" | "true" | "True" | "TRUE"));
    let default = lexical::join(dir, ".env");
    let of_stacks = !req.files.is_empty() && req.files.iter().all(|f| req.stacks.contains(f));
    if paths.is_empty()
        && !disabled
        && !of_stacks
        && session.store.kind(&default) == Some(PathKind::File)
    {
        paths.push(default);
    }
    let paths: Vec<_> = paths.into_iter().map(|p| (p, None)).collect();
    let found = session.read_env_files(&paths, env)?;
    env.fill(found);
    Ok(())
}

fn find_files(
    session: &Session<'_>,
    env: &Environment,
    cwd: &str,
    dir: &str,
) -> Result<Vec<String>, Problem> {
    if let Some(listed) = env.get("COMPOSE_FILE") {
        let separator = match env.get("COMPOSE_PATH_SEPARATOR") {
            Some(s) if !s.text.is_empty() => s.text.as_str(),
            _ => ":",
        };
        let paths = listed.text.split(separator);
        return Ok(paths.map(|p| lexical::absolute(cwd, p)).collect());
    }
    let mut at = dir.to_owned();
    loop {
        if let Some(file) = first_existing(&session.store, &at, &DEFAULT_NAMES) {
            let over = first_existing(&session.store, &at, &DEFAULT_OVERRIDES);
            return Ok(std::iter::once(file).chain(over).collect());
        }
        let parent = lexical::directory(&at);
        if parent == at {
            return Err(Problem::new(
                ProblemKind::MissingFile,
                format!("no Compose file in {dir} or above"),
            )
            .help(format!("name one, or add {}", DEFAULT_NAMES[0])));
        }
        at = parent;
    }
}

/// The project's name: asked for, from `COMPOSE_PROJECT_NAME`, from a `name:` of the files
/// (the last one), or the directory's.
pub(super) fn project_name(
    session: &mut Session<'_>,
    asked: Option<&str>,
    project: &Project,
) -> Result<String, Problem> {
    let set = match asked.filter(|name| !name.is_empty()) {
        Some(name) => Some(name),
        None => project
            .env
            .get("COMPOSE_PROJECT_NAME")
            .map(|s| s.text.as_str())
            .filter(|name| !name.is_empty()),
    };
    if let Some(name) = set {
        if normal_name(name) != name {
            return Err(Problem::new(
                ProblemKind::InvalidValue,
                format!("`{name}` cannot be a project's name"),
            )
            .help("use lowercase letters, digits, `-` and `_`, beginning with a letter or digit"));
        }
        return Ok(name.to_owned());
    }
    let mut named: Option<Node> = None;
    for path in &project.files {
        let documents = match session.translated.get(path) {
            Some(document) => Arc::new(vec![document.clone()]),
            None => session.store.documents(path, None)?,
        };
        for doc in documents.iter() {
            let name = doc.get("name");
            if let Some(name) = name.filter(|n| n.as_str().is_some_and(|s| !s.is_empty())) {
                named = Some(name.clone());
            }
        }
    }
    let name = match &named {
        Some(node) => {
            let mut scope = NameScope(&project.env);
            let text = substitute(node.as_str().unwrap_or(""), &mut scope)
                .map_err(|e| super::dotenv::template_problem(e, &node.span))?;
            normal_name(&text)
        }
        None => normal_name(lexical::last_name(&project.dir)),
    };
    if name.is_empty() {
        let span = named.map_or_else(Span::generated, |n| n.span);
        return Err(Problem::at(
            ProblemKind::InvalidValue,
            &span,
            "the project's name is empty",
        )
        .help("set `name:` in the file, or COMPOSE_PROJECT_NAME"));
    }
    Ok(name)
}

/// The name is read again with the rest of its file, where its variables are noted.
struct NameScope<'a>(&'a Environment);

impl Scope for NameScope<'_> {
    fn value(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|s| s.text.clone())
    }

    fn note(&mut self, _: &str, _: Outcome) {}
}

/// A text as a project's name: lowercase, without what such a name cannot hold.
fn normal_name(text: &str) -> String {
    let kept: String = text
        .to_lowercase()
        .chars()
        .filter(|c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-'))
        .collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::normal_name;

    #[test]
    fn names_are_made_normal() {
        assert_eq!(normal_name("My Shop.v2"), "myshopv2");
        assert_eq!(normal_name("_-x_y-"), "x_y-");
        assert_eq!(normal_name("Ünï"), "n");
    }
}
