//! Configuration files and secrets: where their content comes from.

use std::path::Path;

use super::rule::{Case, Found};
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::{Class, Severity};
use crate::mirror::{FileObject, Sourced};
use crate::project::path;
use crate::yaml::{Node, Spanned};

/// The variable that holds a secret's value in a rendered stack.
pub fn variable_of(secret: &str) -> String {
    if crate::project::is_variable(secret) {
        return secret.to_owned();
    }
    let word = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let name: String = secret.chars().map(word).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
        format!("_{name}")
    } else {
        name
    }
}

/// A secret whose value `mirror.yaml` gives is read from its variable.
pub fn given_secret(f: &mut FileObject, case: &mut Case<'_>) {
    let by_key = case
        .project
        .secret(case.object)
        .map(|s| (case.object.to_owned(), s));
    let by_name = || {
        let name = f.name.as_ref()?;
        Some((name.value.clone(), case.project.secret(name)?))
    };
    let by_variable = || {
        let name = f.environment.as_ref()?;
        Some((name.value.clone(), case.project.secret(name)?))
    };
    let Some((name, source)) = by_key.or_else(by_name).or_else(by_variable) else {
        return missing_secret(f, case);
    };
    let variable = variable_of(&name);
    if f.environment.as_ref().is_some_and(|e| e.value == variable) {
        return;
    }
    let environment = Sourced::new(variable, source.span.clone());
    clear(f);
    f.environment = Some(environment);
}

fn clear(f: &mut FileObject) {
    f.file = None;
    f.content = None;
    f.environment = None;
    f.external = None;
    f.name = None;
    f.driver = None;
    f.driver_opts.clear();
    f.template_driver = None;
}

fn missing_secret(f: &mut FileObject, case: &mut Case<'_>) {
    let file_is_there = f
        .file
        .as_ref()
        .is_some_and(|p| Path::new(p.as_str()).exists());
    let variable_is_set = f
        .environment
        .as_ref()
        .is_some_and(|e| case.environment.contains_key(e.as_str()));
    if file_is_there || variable_is_set || f.content.is_some() || f.given.is_some() {
        return;
    }
    let why = if f.is_external() {
        "its value is kept outside of the spec"
    } else if f.file.is_some() {
        "its file is not here"
    } else {
        "its variable is not set"
    };
    let name = crate::stack::encode::key(case.object);
    case.report.problems.push(
        Problem::at(
            ProblemKind::Missing,
            &f.declared.span,
            format!("secret `{}` has no value: {why}", case.object),
        )
        .help(format!(
            "give it one in mirror.yaml:\nsecrets:\n  {name}: {{ stub: VALUE }}   # or {{ env: NAME }}, {{ file: PATH }}"
        )),
    );
    let variable = variable_of(case.object);
    clear(f);
    f.environment = Some(variable.into());
}

/// A configuration file that the spec only names, or whose file is not here.
pub fn external_config(f: &mut FileObject, case: &mut Case<'_>) {
    let supplied = case
        .project
        .supply
        .get("configs")
        .and_then(|c| c.get(case.object));
    if let Some(node) = supplied {
        return supply(f, node, case);
    }
    let missing = f.file.as_ref().filter(|p| !Path::new(p.as_str()).exists());
    let (span, why) = match missing {
        Some(file) => (&file.span, format!("there is no file {}", file.value)),
        None if f.is_external() => (
            &f.declared.span,
            "it is kept outside of the spec".to_owned(),
        ),
        None => return,
    };
    let name = crate::stack::encode::key(case.object);
    case.report.problems.push(
        Problem::at(
            ProblemKind::Missing,
            span,
            format!("config `{}` has no content: {why}", case.object),
        )
        .help(format!(
            "supply it in mirror.yaml:\nsupply:\n  configs:\n    {name}: {{ file: PATH }}   # or {{ content: TEXT }}"
        )),
    );
    if f.is_external() {
        clear(f);
        f.content = Some(String::new().into());
    }
}

fn supply(f: &mut FileObject, node: &Node, case: &mut Case<'_>) {
    let root = &case.project.root;
    let text = |key: &str| node.get(key).and_then(Node::as_str).map(str::to_owned);
    let span = f.declared.span.clone();
    match (text("file"), text("content")) {
        (Some(file), None) => {
            let written = Spanned::new(file, node.span.clone());
            match path::existing(root, &written) {
                Ok(p) => {
                    clear(f);
                    let path = p.path.to_string_lossy().into_owned();
                    f.file = Some(Sourced::new(path, node.span.clone()));
                }
                Err(p) => case.report.problems.push(p),
            }
        }
        (None, Some(content)) => {
            clear(f);
            f.content = Some(Sourced::new(content, node.span.clone()));
        }
        _ => {
            case.report.problems.push(Problem::at(
                ProblemKind::InvalidValue,
                &node.span,
                "a supplied config has exactly one of `file` and `content`",
            ));
            return;
        }
    }
    let found = Found::at("content", "", &span).now("what `supply` gives");
    case.note(
        found,
        Class::Substituted,
        Severity::Low,
        "the spec does not hold it",
    );
}

/// Files outside of the project.
pub fn host_path(f: &mut FileObject, case: &mut Case<'_>) {
    let Some(file) = &f.file else { return };
    let root = &case.project.root;
    let written = Spanned::new(file.value.clone(), file.span.clone());
    if path::inside(root, root, &written).is_err() && case.found(Found::text("file", file)) {
        let declared = f.declared.clone();
        clear(f);
        f.declared = declared;
        f.content = Some(String::new().into());
    }
}

/// Stores and template programs that only an orchestrator has.
pub fn store(f: &mut FileObject, case: &mut Case<'_>) {
    let fields = [
        ("driver", &mut f.driver),
        ("template_driver", &mut f.template_driver),
    ];
    for (field, value) in fields {
        if let Some(v) = value
            && case.found(Found::text(field, v))
        {
            *value = None;
        }
    }
}
