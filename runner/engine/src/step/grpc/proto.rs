//! Descriptors from `.proto` files.

use std::path::{Path, PathBuf};

use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::source::{SourceFile, Span};
use prodmirror_model::yaml::Spanned;
use prost_reflect::{DescriptorPool, MethodDescriptor, ServiceDescriptor};

use crate::step::files;

/// The files that a step names.
pub(super) struct Files<'a> {
    pub proto: &'a [Spanned<String>],
    pub import: &'a [Spanned<String>],
}

impl Files<'_> {
    /// Compiles them. `Ok(None)`: the scenario was not read from a file, so that nothing is
    /// beside it.
    pub fn compile(&self) -> Result<Option<DescriptorPool>, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut missing = false;
        let mut locate = |name: &Spanned<String>, folder: bool| -> Option<PathBuf> {
            let Some(path) = files::locate(name, &name.span) else {
                missing = true;
                return None;
            };
            match path.canonicalize() {
                Ok(path) if path.is_dir() == folder => Some(path),
                Ok(_) => {
                    let what = if folder {
                        "no directory"
                    } else {
                        "a directory"
                    };
                    problems.push(Problem::at(
                        ProblemKind::MissingFile,
                        &name.span,
                        format!("{} is {what}", name.value),
                    ));
                    None
                }
                Err(e) => {
                    problems.push(files::unread(name, &path, &name.span, &e));
                    None
                }
            }
        };
        let mut includes: Vec<PathBuf> = Vec::new();
        includes.extend(self.import.iter().filter_map(|i| locate(i, true)));
        let proto: Vec<(PathBuf, &Spanned<String>)> = self
            .proto
            .iter()
            .filter_map(|f| Some((locate(f, false)?, f)))
            .collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        if missing {
            return Ok(None);
        }
        for (path, _) in &proto {
            let folder = path.parent().unwrap_or(Path::new("/"));
            if !includes.iter().any(|i| path.starts_with(i)) {
                includes.push(folder.to_owned());
            }
        }
        let fail = |e: &protox::Error, at: &Spanned<String>| problem(e, &includes, at);
        let mut compiler = match protox::Compiler::new(&includes) {
            Ok(c) => c,
            Err(e) => {
                return Err(self
                    .proto
                    .first()
                    .map(|f| fail(&e, f))
                    .into_iter()
                    .collect());
            }
        };
        compiler.include_imports(true);
        for (path, at) in &proto {
            if let Err(e) = compiler.open_file(path) {
                problems.push(fail(&e, at));
            }
        }
        if problems.is_empty() {
            Ok(Some(compiler.descriptor_pool()))
        } else {
            Err(problems)
        }
    }
}

/// What is wrong in a file, at its place there: the compiler tells it as `file:line:column:`
/// and words.
fn problem(e: &protox::Error, includes: &[PathBuf], at: &Spanned<String>) -> Problem {
    let told = format!("{e:?}");
    let place = e.file().and_then(|name| {
        let rest = told.strip_prefix(name)?.strip_prefix(':')?;
        let mut parts = rest.splitn(3, ':');
        let line: u32 = parts.next()?.trim().parse().ok()?;
        let col: u32 = parts.next()?.trim().parse().ok()?;
        let words = parts.next()?.trim().to_owned();
        let path = includes.iter().map(|i| i.join(name)).find(|p| p.exists())?;
        let shown = shown(&path, at);
        let file = SourceFile::read(&path, shown).ok()?;
        Some((Span::in_line(&file, line, col, 1), words))
    });
    let p = match place {
        Some((span, words)) => Problem::at(ProblemKind::Syntax, &span, words)
            .related(&at.span, "the scenario names it here"),
        None => Problem::at(ProblemKind::Syntax, &at.span, format!("{}: {e}", at.value)),
    };
    if e.is_file_not_found() {
        p.help("`import` names the directories in which imports are looked for")
    } else {
        p
    }
}

/// The path of a file as people know it: relative to where the scenario's path is.
fn shown(path: &Path, at: &Spanned<String>) -> String {
    let scenario = &at.span.file;
    let folder = scenario
        .path
        .as_deref()
        .and_then(Path::parent)
        .and_then(|p| p.canonicalize().ok());
    let relative = folder.and_then(|f| path.strip_prefix(f).ok().map(Path::to_owned));
    match relative {
        Some(relative) => Path::new(&scenario.name)
            .parent()
            .unwrap_or(Path::new(""))
            .join(relative)
            .display()
            .to_string(),
        None => path.display().to_string(),
    }
}

/// A service of the files.
pub(super) fn service(
    pool: &DescriptorPool,
    name: &str,
    span: &Span,
) -> Result<ServiceDescriptor, Problem> {
    pool.get_service_by_name(name).ok_or_else(|| {
        let all: Vec<String> = pool.services().map(|s| s.full_name().to_owned()).collect();
        let p = Problem::at(
            ProblemKind::UnknownReference,
            span,
            format!("the files have no service `{name}`"),
        );
        match nearest(name, all.iter().map(String::as_str)) {
            Some(n) => p.help(format!("did you mean `{n}`?")),
            None if all.is_empty() => p.help("they have no services at all"),
            None => p.help(format!("their services: {}", all.join(", "))),
        }
    })
}

/// A method of a service.
pub(super) fn method(
    service: &ServiceDescriptor,
    name: &str,
    span: &Span,
) -> Result<MethodDescriptor, Problem> {
    if let Some(method) = service.methods().find(|m| m.name() == name) {
        return Ok(method);
    }
    let all: Vec<String> = service.methods().map(|m| m.name().to_owned()).collect();
    let p = Problem::at(
        ProblemKind::UnknownReference,
        span,
        format!("{} has no method `{name}`", service.full_name()),
    );
    Err(match nearest(name, all.iter().map(String::as_str)) {
        Some(n) => p.help(format!("did you mean `{n}`?")),
        None => p.help(format!("its methods: {}", all.join(", "))),
    })
}
