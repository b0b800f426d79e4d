//! Kubernetes manifests of the corpus: each is read, and what can run becomes a stack that
//! Docker Compose accepts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use prodmirror_model::compile::{Compiled, Inputs, compile};
use prodmirror_model::diag::{ProblemKind, Problems};
use prodmirror_model::fidelity::Class;
use prodmirror_model::project::{Project, ProjectSource};
use prodmirror_model::source::{SourceFile, Span};
use prodmirror_model::spec::kubernetes::FORMAT;
use prodmirror_model::yaml::Spanned;
use serde_json::Value as Json;

use crate::corpus_files::{files, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("kubernetes::corpus", corpus),
        trial("kubernetes::pairs", pairs),
    ]
}

/// Files that are read by themselves, and directories that are read as a whole.
fn specs(corpus: &Path) -> Vec<Vec<PathBuf>> {
    let mut all = Vec::new();
    let mut by_dir: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for ending in [".yaml", ".yml", ".json"] {
        for path in files(corpus, ending) {
            let Ok(file) = SourceFile::read(&path, "x") else {
                continue;
            };
            if (FORMAT.sniff)(&file) {
                let dir = path.parent().unwrap().to_owned();
                by_dir.entry(dir).or_default().push(path.clone());
                all.push(vec![path]);
            }
        }
    }
    all.extend(by_dir.into_values().filter(|files| files.len() > 1));
    all.sort();
    all
}

/// A project of these files, whose root is the corpus.
fn project(corpus: &Path, files: &[PathBuf]) -> Project {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("compose.yaml"), "").unwrap();
    let text = "project: corpus\nproduction: compose.yaml\n";
    std::fs::write(dir.path().join("mirror.yaml"), text).unwrap();
    let mut project = Project::load(dir.path()).unwrap();
    project.root = corpus.to_owned();
    project.production = vec![ProjectSource {
        written: Spanned::new("x".to_owned(), Span::generated()),
        path: files[0].clone(),
        format: Some(Spanned::new("kubernetes".to_owned(), Span::generated())),
        files: files.to_vec(),
    }];
    project
}

fn compiled(project: &Project) -> Result<Compiled, Problems> {
    compile(
        project,
        &Inputs {
            agent_image: "prodmirror/agent:test".to_owned(),
            ..Inputs::default()
        },
    )
}

fn short(problems: &Problems) -> String {
    let errors = problems.0.iter().filter(|p| p.is_error());
    let mut kinds: Vec<String> = errors.clone().map(|p| format!("{:?}", p.kind)).collect();
    kinds.dedup();
    let first = errors.map(|p| p.message.clone()).next().unwrap_or_default();
    let first: String = first.chars().take(100).collect();
    format!("{}: {first}", kinds.join(", "))
}

/// Whether nothing is wrong but that something is not in the files.
fn lacks_only(problems: &Problems) -> bool {
    let mut errors = problems.0.iter().filter(|p| p.is_error());
    errors.all(|p| p.kind == ProblemKind::Missing && p.help.is_some())
}

fn corpus(corpus: &Path) -> Result<(), Failed> {
    let program = std::env::var_os("PRODMIRROR_COMPOSE").map(PathBuf::from);
    let (mut table, mut wrong) = (String::new(), Vec::new());
    let (mut read, mut accepted, mut lacking, mut refused) = (0, 0, 0, 0);
    let specs = specs(corpus);
    for files in &specs {
        let project = project(corpus, files);
        let name = files[0].strip_prefix(corpus).unwrap();
        let name = match files.len() {
            1 => name.display().to_string(),
            n => format!("{}/ ({n} files)", name.parent().unwrap().display()),
        };
        let (what, detail) = match compiled(&project) {
            Ok(c) => {
                read += 1;
                let dropped = c.fidelity.records.iter();
                let dropped = dropped.filter(|r| r.class != Class::Mirrored).count();
                match &c.stack {
                    None => {
                        wrong.push(format!("{name}: no stack: {}", c.problems));
                        ("no stack", short(&c.problems))
                    }
                    Some(stack) => {
                        let text = &stack.text.file.text;
                        let names: Vec<&String> = stack.variables.keys().collect();
                        let why = program.as_ref().and_then(|p| config(p, text, &names));
                        if let Some(why) = why {
                            wrong.push(format!("{name}: Compose refuses it: {why}"));
                        } else {
                            accepted += 1;
                        }
                        let services = stack.mirror.services.len();
                        let rest = match c.problems.has_errors() {
                            true => format!("; the policy: {}", short(&c.problems)),
                            false => String::new(),
                        };
                        (
                            "read",
                            format!("{services} services, {dropped} records{rest}"),
                        )
                    }
                }
            }
            Err(p) if lacks_only(&p) => {
                lacking += 1;
                ("lacks", short(&p))
            }
            Err(p) => {
                refused += 1;
                ("refused", short(&p))
            }
        };
        let _ = writeln!(table, "{what:8} {name}: {detail}");
    }
    println!("{table}");
    println!(
        "{} specs: {read} read, {accepted} accepted by Compose, {lacking} need what is not in them, {refused} refused",
        specs.len()
    );
    if specs.len() < 250 || !wrong.is_empty() {
        return Err(wrong.join("\n").into());
    }
    Ok(())
}

/// The same application in two descriptions is the same mirror.
fn pairs(corpus: &Path) -> Result<(), Failed> {
    let services = |dir: &str, ending: &str, format: &str| -> BTreeMap<String, Json> {
        let files = files(&corpus.join(dir), ending);
        let mut project = project(corpus, &files);
        project.production[0].format = Some(Spanned::new(format.to_owned(), Span::generated()));
        let compiled = compiled(&project).unwrap_or_else(|p| panic!("{dir}: {p}"));
        let services = compiled.production.to_compose()["services"].clone();
        serde_json::from_value(services).unwrap()
    };
    let voting = "dockersamples+example-voting-app";
    let specs = format!("{voting}/k8s-specifications");
    let kubernetes = services(&specs, ".yaml", "kubernetes");
    let compose = services(voting, "docker-compose.yml", "compose");
    for (name, service) in &compose {
        let Some(other) = kubernetes.get(name) else {
            return Err(format!("no service `{name}`").into());
        };
        if service.get("build").is_none() {
            assert_eq!(service["image"], other["image"], "{name}");
        }
    }
    // The demonstration of Google is there as a release, and as what kustomize makes of its base.
    let shop = "GoogleCloudPlatform+microservices-demo";
    let release = format!("{shop}/release");
    let release = services(&release, "kubernetes-manifests.yaml", "kubernetes");
    let built = format!("{shop}/kustomize");
    let built = services(&built, "rendered.oracle.yaml", "kubernetes");
    assert!(release.keys().eq(built.keys()));
    for (name, service) in &release {
        for key in [
            "environment",
            "mem_limit",
            "cpu_quota",
            "user",
            "cap_drop",
            "networks",
        ] {
            assert_eq!(service.get(key), built[name].get(key), "{name} {key}");
        }
    }
    println!("{} and {} services agree", compose.len(), release.len());
    Ok(())
}

/// Why Docker Compose refuses a stack.
fn config(program: &Path, text: &str, variables: &[&String]) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("stack.yaml"), text).unwrap();
    let mut command = Command::new(program);
    command
        .env_clear()
        .args(["-f", "stack.yaml", "config", "--quiet"])
        .current_dir(dir.path());
    for name in variables {
        command
            .env(name, "value")
            .env(format!("{name}_FILE"), "/secret");
    }
    let out = command.output().unwrap();
    (!out.status.success()).then(|| String::from_utf8_lossy(&out.stderr).into_owned())
}
