//! Kustomizations and charts: other programs turn them into manifests.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::project::{Project, ProjectSource};
use prodmirror_model::source::SourceFile;
use prodmirror_model::yaml::Node;

use crate::context::Context;

/// Names of a kustomization.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Where nobody listens: what these programs fetch from elsewhere is no part of the project.
const NOWHERE: &str = "http://127.0.0.1:9";

/// What a source is made into manifests by.
enum Tool {
    Kustomize,
    Helm,
}

/// The manifests of every source that is a kustomization or a chart, by the source's path.
///
/// # Errors
/// The programs that are missing, and what those that are not say.
pub fn render(
    project: &Project,
    context: &Context,
) -> Result<BTreeMap<PathBuf, Arc<SourceFile>>, Problems> {
    let mut rendered = BTreeMap::new();
    let mut problems = Problems::default();
    for source in &project.production {
        let Some((tool, dir)) = tool_of(source) else {
            continue;
        };
        let made = match tool {
            Tool::Kustomize => kustomize(&dir, source, context),
            Tool::Helm => helm(&dir, source, project, context),
        };
        match made {
            Ok(file) => {
                rendered.insert(source.path.clone(), file);
            }
            Err(p) => problems.push(p),
        }
    }
    if problems.has_errors() {
        Err(problems)
    } else {
        Ok(rendered)
    }
}

fn tool_of(source: &ProjectSource) -> Option<(Tool, PathBuf)> {
    let name = source.path.file_name().and_then(|n| n.to_str());
    let dir = match name {
        Some(name) if KUSTOMIZATIONS.contains(&name) || name == "Chart.yaml" => {
            source.path.parent()?.to_owned()
        }
        _ if source.path.is_dir() => source.path.clone(),
        _ => return None,
    };
    if KUSTOMIZATIONS.iter().any(|n| dir.join(n).is_file()) {
        return Some((Tool::Kustomize, dir));
    }
    dir.join("Chart.yaml")
        .is_file()
        .then_some((Tool::Helm, dir))
}

fn kustomize(
    dir: &Path,
    source: &ProjectSource,
    context: &Context,
) -> Result<Arc<SourceFile>, Problem> {
    let programs: [(&str, &[&str]); 2] = [("kustomize", &["build"]), ("kubectl", &["kustomize"])];
    for (program, words) in programs {
        let mut args: Vec<OsString> = words.iter().map(OsString::from).collect();
        args.push(dir.into());
        if let Some(made) = run(program, &args, source, context) {
            return made;
        }
    }
    let help = "install kustomize or kubectl, or write what `kustomize build` prints into a file and name that in `production`";
    Err(missing(source, "is a kustomization", "kustomize nor kubectl").help(help))
}

fn helm(
    dir: &Path,
    source: &ProjectSource,
    project: &Project,
    context: &Context,
) -> Result<Arc<SourceFile>, Problem> {
    let supplied = project.supply.get("kubernetes").and_then(|k| k.get("helm"));
    let text = |key: &str| supplied.and_then(|h| h.get(key)).and_then(Node::as_str);
    let title = project.title();
    let release = text("release").unwrap_or(&title);
    let mut args: Vec<OsString> = vec!["template".into(), release.into(), dir.into()];
    if let Some(namespace) = text("namespace") {
        args.extend(["--namespace".into(), namespace.into()]);
    }
    let values = supplied
        .and_then(|h| h.get("values"))
        .and_then(Node::as_seq);
    for node in values.unwrap_or(&[]) {
        let written = prodmirror_model::yaml::Spanned::new(
            node.scalar_text().unwrap_or_default(),
            node.span.clone(),
        );
        let file = prodmirror_model::project::path::existing(&project.root, &written)?;
        args.extend(["--values".into(), file.path.into_os_string()]);
    }
    match run("helm", &args, source, context) {
        Some(made) => made,
        None => {
            let help = "install helm, or write what `helm template` prints into a file and name that in `production`";
            Err(missing(source, "is a chart", "helm").help(help))
        }
    }
}

fn missing(source: &ProjectSource, what: &str, program: &str) -> Problem {
    let either = if program.contains(" nor ") {
        "neither "
    } else {
        "no "
    };
    Problem::at(
        ProblemKind::Unsupported,
        &source.written.span,
        format!(
            "`{}` {what}, and {either}{program} is installed here",
            source.written.as_str()
        ),
    )
}

/// What a program prints; `None` when it is not installed.
fn run(
    program: &str,
    args: &[OsString],
    source: &ProjectSource,
    context: &Context,
) -> Option<Result<Arc<SourceFile>, Problem>> {
    let mut command = Command::new(program);
    command.args(args).current_dir(&context.cwd).env_clear();
    for name in ["PATH", "HOME", "TMPDIR"] {
        if let Some(value) = context.env.get(name) {
            command.env(name, value);
        }
    }
    // Only what is in the project: nothing is fetched, and no cluster is asked.
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        command.env(name, NOWHERE);
    }
    command.env("GIT_ALLOW_PROTOCOL", "file");
    command.env("KUBECONFIG", "/dev/null");
    let shown = source.written.as_str();
    let problem = |why: String| {
        Problem::at(
            ProblemKind::InvalidValue,
            &source.written.span,
            format!("`{program}` makes no manifests of `{shown}`: {why}"),
        )
    };
    let done = match command.output() {
        Ok(done) => done,
        Err(e) if e.kind() == ErrorKind::NotFound => return None,
        Err(e) => return Some(Err(problem(e.to_string()))),
    };
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        let said: String = said.trim().chars().take(2000).collect();
        return Some(Err(problem(said).help(format!(
            "run `{program} {}` to see it",
            args.iter()
                .map(|a| a.to_string_lossy())
                .collect::<Vec<_>>()
                .join(" ")
        ))));
    }
    let name = format!("{shown} ({program})");
    Some(SourceFile::from_bytes(name, done.stdout))
}
