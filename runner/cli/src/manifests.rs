//! Kustomizations and charts: other programs turn them into manifests.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::project::{Project, ProjectSource};
use prodmirror_model::source::SourceFile;
use prodmirror_model::yaml::Node;

use crate::bounded;
use crate::context::Context;

/// Names of a kustomization.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Where nobody listens: what these programs fetch from elsewhere is no part of the project.
const NOWHERE: &str = "http://127.0.0.1:9";

/// How long such a program may take.
const WITHIN: Duration = Duration::from_secs(60);
/// How much it may print, in bytes.
const LARGEST: u64 = 64 << 20;
/// Characters of a release's name, by helm.
const LONGEST_RELEASE: usize = 53;
/// Characters of a namespace's name, by Kubernetes.
const LONGEST_NAMESPACE: usize = 63;

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
    let release = match text("release") {
        Some(release) => release.to_owned(),
        None => as_release(&title),
    };
    let at = |key: &str| supplied.and_then(|h| h.get(key)).map(|n| n.span.clone());
    // Anything else would be refused by helm, or taken for one of its options.
    if !is_name(&release, LONGEST_RELEASE) {
        let span = at("release").unwrap_or_else(|| source.written.span.clone());
        let what = format!("`{release}` is no name for a release of helm");
        let help = format!("use at most {LONGEST_RELEASE} lowercase letters, digits, `-` and `.`");
        return Err(Problem::at(ProblemKind::InvalidValue, &span, what).help(help));
    }
    let mut args: Vec<OsString> = vec!["template".into(), release.into(), dir.into()];
    if let Some(namespace) = text("namespace") {
        if !is_name(namespace, LONGEST_NAMESPACE) {
            let span = at("namespace").unwrap_or_else(|| source.written.span.clone());
            let what = format!("`{namespace}` is no name of a namespace");
            let help = format!("use at most {LONGEST_NAMESPACE} lowercase letters, digits and `-`");
            return Err(Problem::at(ProblemKind::InvalidValue, &span, what).help(help));
        }
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

/// Whether text is a DNS subdomain of RFC 1123, as helm and Kubernetes want names.
fn is_name(text: &str, longest: usize) -> bool {
    let label = |l: &str| {
        let edges = l.starts_with('-') || l.ends_with('-');
        let inner = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
        !l.is_empty() && !edges && l.bytes().all(inner)
    };
    text.len() <= longest && text.split('.').all(label)
}

/// A project's title as the name of a release.
fn as_release(title: &str) -> String {
    let lower = title.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|w| !w.is_empty()).collect();
    let name = words.join("-");
    let mut name = name[..name.len().min(LONGEST_RELEASE)].to_owned();
    while name.ends_with('-') {
        name.pop();
    }
    name
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
    let done = match bounded::output(command, WITHIN, LARGEST) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_releases() {
        for name in ["shop", "a.b-c", "1"] {
            assert!(is_name(name, LONGEST_RELEASE), "{name}");
        }
        let long = "a".repeat(54);
        for name in [
            "",
            "-x",
            "x-",
            "a..b",
            "--post-renderer=x",
            "Shop",
            "a_b",
            "a b",
            &long,
        ] {
            assert!(!is_name(name, LONGEST_RELEASE), "{name}");
        }
        assert_eq!(as_release("My Shop_2 (live)"), "my-shop-2-live");
        assert!(is_name(&as_release(&"ab ".repeat(40)), LONGEST_RELEASE));
    }
}
